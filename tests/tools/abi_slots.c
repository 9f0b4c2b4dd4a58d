/* A small, complete implementation of slotmem_abi.h, in the memory of one process: nothing is shared, nothing is stored.
 *
 * One mutex guards everything. With -DWRONG_GRAB it is a wrong one: grab does not mark the slot. With -DWRONG_PUT it
 * crashes on a put beyond the slot, and with -DWRONG_HELLO it does not say what it is.
 */
#include "slotmem_abi.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct slotmem_abi_segment {
    slotmem_abi_segment *next;
    char *name; /* NULL: anonymous */
    size_t size;
    unsigned int num, num_free, type;
    char *slots, *inuse;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static slotmem_abi_segment *segments;
static int is_open;

#ifdef WRONG_LOCK /* threads run into one another */
#define pthread_mutex_lock(mutex) (void)(mutex)
#define pthread_mutex_unlock(mutex) (void)(mutex)
#endif

static int answer(int status)
{
    pthread_mutex_unlock(&lock);
    return status;
}

static void free_all(void)
{
    while (segments) {
        slotmem_abi_segment *s = segments;
        segments = s->next;
        free(s->name);
        free(s->slots);
        free(s->inuse);
        free(s);
    }
}

static void mark(slotmem_abi_segment *s, unsigned int id, char inuse)
{
    s->num_free += (unsigned int)(s->inuse[id] - inuse);
    s->inuse[id] = inuse;
}

static int is_anonymous(const char *name)
{
    return !name || !*name || strcasecmp(name, "none") == 0;
}

/* Whether a relative name has a part "..". */
static int climbs(const char *name)
{
    const char *part = name && *name != '/' ? name : NULL;
    while (part) {
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == 0))
            return 1;
        part = strchr(part, '/');
        part = part ? part + 1 : NULL;
    }
    return 0;
}

static slotmem_abi_segment *find(const char *name)
{
    slotmem_abi_segment *s = segments;
    while (s && !(s->name && strcmp(s->name, name) == 0))
        s = s->next;
    return s;
}

const char *slotmem_abi_hello(void)
{
#ifdef WRONG_HELLO
    return "slots";
#else
    return "1 abi_slots 0.1";
#endif
}

int slotmem_abi_open(const char *runtime_dir, unsigned int generation)
{
    (void)runtime_dir, (void)generation; /* nothing has a place or a number */
    pthread_mutex_lock(&lock);
    if (is_open)
        return answer(SLOTMEM_EBUSY);
    is_open = 1;
    return answer(SLOTMEM_SUCCESS);
}

int slotmem_abi_restart(void)
{
    pthread_mutex_lock(&lock);
    free_all();
    return answer(SLOTMEM_SUCCESS);
}

int slotmem_abi_close(void)
{
    pthread_mutex_lock(&lock);
    free_all();
    is_open = 0;
    return answer(SLOTMEM_SUCCESS);
}

int slotmem_abi_create(slotmem_abi_segment **segment, const char *name, size_t item_size, unsigned int item_num,
                       unsigned int type)
{
    slotmem_abi_segment *s;
    pthread_mutex_lock(&lock);
    if (climbs(name))
        return answer(SLOTMEM_EINVAL);
    if (!is_anonymous(name) && (*segment = find(name)))
        return answer(SLOTMEM_SUCCESS);
    if (item_size && item_num > ((size_t)-1 / 2 - 64 - item_num) / item_size) /* 64: what a header would take */
        return answer(SLOTMEM_EINVAL);
    if (!(s = calloc(1, sizeof *s)))
        return answer(SLOTMEM_ENOSPC);
    s->size = item_size;
    s->num = s->num_free = item_num;
    s->type = type;
    s->slots = calloc(1, item_size * item_num + 1); /* + 1: a place for every slot of no bytes */
    s->inuse = calloc(1, (size_t)item_num + 1);
    s->name = is_anonymous(name) ? NULL : strdup(name);
    s->next = segments;
    segments = s;
    if (!s->slots || !s->inuse || (!s->name && !is_anonymous(name))) {
        segments = s->next;
        free(s->slots), free(s->inuse), free(s->name), free(s);
        return answer(SLOTMEM_ENOSPC);
    }
    *segment = s;
    return answer(SLOTMEM_SUCCESS);
}

int slotmem_abi_attach(slotmem_abi_segment **segment, const char *name, size_t *item_size, unsigned int *item_num)
{
    pthread_mutex_lock(&lock);
    if (is_anonymous(name))
        return answer(SLOTMEM_ENOSHMAVAIL);
    if (climbs(name))
        return answer(SLOTMEM_EINVAL);
    if (!(*segment = find(name)))
        return answer(SLOTMEM_ENOENT);
    *item_size = (*segment)->size;
    *item_num = (*segment)->num;
    return answer(SLOTMEM_SUCCESS);
}

int slotmem_abi_dptr(slotmem_abi_segment *s, unsigned int id, void **mem)
{
    if (id >= s->num)
        return SLOTMEM_EINVAL;
    *mem = s->slots + s->size * id;
    return SLOTMEM_SUCCESS;
}

/* What get and put ask alike, the lock taken. */
static int refused(slotmem_abi_segment *s, unsigned int id, size_t len)
{
    if (id >= s->num || len > s->size)
        return SLOTMEM_EINVAL;
    if (s->type & SLOTMEM_PREGRAB && !s->inuse[id])
        return SLOTMEM_NOTFOUND;
    mark(s, id, 1);
    return SLOTMEM_SUCCESS;
}

int slotmem_abi_get(slotmem_abi_segment *s, unsigned int id, void *dest, size_t len)
{
    int status;
    pthread_mutex_lock(&lock);
    if ((status = refused(s, id, len)) == SLOTMEM_SUCCESS)
        memcpy(dest, s->slots + s->size * id, len);
    return answer(status);
}

int slotmem_abi_put(slotmem_abi_segment *s, unsigned int id, const void *src, size_t len)
{
    int status;
#ifdef WRONG_PUT
    if (len > s->size)
        abort();
#endif
    pthread_mutex_lock(&lock);
    if ((status = refused(s, id, len)) == SLOTMEM_SUCCESS)
        memcpy(s->slots + s->size * id, src, len);
    return answer(status);
}

unsigned int slotmem_abi_num_slots(slotmem_abi_segment *s)
{
    return s->num;
}

unsigned int slotmem_abi_num_free_slots(slotmem_abi_segment *s)
{
    unsigned int num_free;
    pthread_mutex_lock(&lock);
    num_free = s->num_free;
    pthread_mutex_unlock(&lock);
    return num_free;
}

size_t slotmem_abi_slot_size(slotmem_abi_segment *s)
{
    return s->size;
}

int slotmem_abi_grab(slotmem_abi_segment *s, unsigned int *id)
{
    pthread_mutex_lock(&lock);
    for (*id = 0; *id < s->num; ++*id)
        if (!s->inuse[*id]) {
#ifndef WRONG_GRAB
            mark(s, *id, 1);
#endif
            return answer(SLOTMEM_SUCCESS);
        }
    return answer(SLOTMEM_EINVAL);
}

int slotmem_abi_fgrab(slotmem_abi_segment *s, unsigned int id)
{
    if (id >= s->num)
        return SLOTMEM_EINVAL;
    pthread_mutex_lock(&lock);
    mark(s, id, 1);
    return answer(SLOTMEM_SUCCESS);
}

int slotmem_abi_release(slotmem_abi_segment *s, unsigned int id)
{
    if (id >= s->num)
        return SLOTMEM_EINVAL;
    pthread_mutex_lock(&lock);
    if (!s->inuse[id])
        return answer(SLOTMEM_NOTFOUND);
    mark(s, id, 0);
    return answer(SLOTMEM_SUCCESS);
}

int slotmem_abi_doall(slotmem_abi_segment *s, int (*func)(void *mem, void *data), void *data)
{
    unsigned int id;
    int status = SLOTMEM_SUCCESS;
    for (id = 0; id < s->num && status == SLOTMEM_SUCCESS; ++id)
        if (!(s->type & SLOTMEM_PREGRAB) || s->inuse[id]) /* func may call back: no lock meanwhile */
            status = func(s->slots + s->size * id, data);
    return status;
}
