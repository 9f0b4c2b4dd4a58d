/* A driver in C. It is a small real implementation: slots in the memory of this one process; nothing is shared or stored.
 * Build: cc -O2 -o driver driver.c      Run: slotmem conform exec:./driver
 * To try your own, change the second half. A shared library needs no driver: slotmem_abi.h says what it must export. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SUCCESS "APR_SUCCESS"
#define HELLO "\"protocol\":1,\"implementation\":\"slots of a C process\",\"version\":\"1\",\"language\":\"C\"," \
              "\"capabilities\":[\"restart\",\"dptr\",\"doall\"],"
typedef struct { char *name, *data, *inuse; size_t size, num; int pregrab; } Segment; /* no data: it has ended */
static Segment segments[1 << 16];
static size_t nsegments;
static int is_open;
static char *line;        /* the request */
static const char *wrong; /* what is wrong with it, if anything is: then the response is an error */

/* Give where the value of a key begins, or NULL. This is no JSON parser, for the suite checks what it sends: what stands
 * in quotes and has a colon behind it is a key, since a quote inside of a string has a backslash. */
static const char *find(const char *key) {
    char quoted[32];
    int n = snprintf(quoted, sizeof quoted, "\"%s\"", key);
    for (const char *at = line; (at = strstr(at, quoted)); at += n)
        if (at[n + strspn(at + n, " \t")] == ':') return at + n + strspn(at + n, " \t:");
    return NULL;
}

static long long integer(const char *key) {
    const char *at = find(key);
    char *end = NULL;
    long long value = at ? strtoll(at, &end, 10) : 0;
    if (!at || end == at) wrong = "an integer is missing";
    return value;
}

static int is(const char *word) { /* whether this is the operation */
    const char *op = find("op");
    return op && *op == '"' && !strncmp(op + 1, word, strlen(word)) && op[strlen(word) + 1] == '"';
}

/* Print fields of the response. Each has a comma behind it, for the status comes last. */
static const char *told(const char *key, size_t value) { printf("\"%s\":%zu,", key, value); return SUCCESS; }
static void hex(const char *key, const char *data, size_t n) {
    printf("%s\"", key);
    for (size_t i = 0; i < n; i++) printf("%02x", (unsigned char)data[i]);
    printf("\"");
}

/* The implementation. Each function prints the response's fields, and gives the status. */
static const char *create(int attach) {
    const char *at = find("name"), *type = attach ? "" : find("type"), *end = at;
    size_t size = attach ? 0 : (size_t)integer("item_size"), num = attach ? 0 : (size_t)integer("item_num"), total, n = 0;
    if (!at || !type) wrong = "no name or type";
    if (wrong) return NULL;
    if (*at == '"') for (end = ++at; *end && *end != '"'; end++) if (*end == '\\' && end[1]) end++;
    char name[end - at + 1]; /* as JSON spells it, which is as good as any other way */
    *(char *)mempcpy(name, at, (size_t)(end - at)) = 0;
    int anonymous = !*name || !strcasecmp(name, "none");
    if (!is_open || (attach && anonymous)) return "APR_ENOSHMAVAIL";
    for (char *part = name; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
        if (!strcmp(part, "..") || !strncmp(part, "../", 3)) return "APR_EINVAL";
    if (strstr(name, "\\u0000")) return "APR_EINVAL";
    while (n < nsegments && (anonymous || !segments[n].name || strcmp(segments[n].name, name))) n++;
    if (n == nsegments && attach) return "APR_ENOENT";
    if (n < nsegments) { /* it is there already */
        if (attach) told("item_size", segments[n].size), told("item_num", segments[n].num);
        return told("segment", n);
    }
    if (__builtin_mul_overflow(size, num, &total) || (total + num + 32) >> 63) return "APR_EINVAL"; /* 32: httpd's header */
    Segment made = {NULL, calloc(total + 1, 1), calloc(num + 1, 1), size, num, strstr(type, "\"PREGRAB\"") != NULL};
    if (!made.data || !made.inuse || n == sizeof segments / sizeof made) {
        free(made.data), free(made.inuse);
        return "APR_ENOSPC";
    }
    segments[nsegments++] = made;
    if (!anonymous) segments[n].name = strdup(name);
    return told("segment", n);
}

static const char *walk(const Segment *s, const char *answer) { /* answer: the array of them, or NULL */
    static char status[64];
    strcpy(status, SUCCESS);
    printf("\"slots\":[");
    for (size_t id = 0, seen = 0; id < s->num && !strcmp(status, SUCCESS); id++) {
        if (s->pregrab && !s->inuse[id]) continue;
        hex(seen++ ? "," : "", s->data + id * s->size, s->size);
        if (answer) answer = strpbrk(answer, "\"]"); /* the next one, or the end of them */
        if (answer && sscanf(answer, "\"%63[^\"]", status) == 1) answer += strlen(status) + 2;
    }
    printf("],");
    return status;
}

static const char *operate(void) {
    int get = is("get"), put = is("put"), dptr = is("dptr"), release = is("release");
    long long number = integer("segment");
    if (number < 0 || (size_t)number >= nsegments) wrong = "no such segment";
    if (wrong) return NULL;
    Segment *s = segments + number;
    if (!s->data) return "APR_ENOSHMAVAIL";
    if (is("num_slots")) return told("value", s->num);
    if (is("slot_size")) return told("value", s->size);
    if (is("doall")) return walk(s, find("answers"));
    if (is("num_free_slots")) {
        size_t used = 0;
        for (size_t id = 0; id < s->num; id++) used += (size_t)s->inuse[id];
        return told("value", s->num - used);
    }
    if (is("grab")) {
        char *found = memchr(s->inuse, 0, s->num);
        if (!found) return "APR_EINVAL";
        *found = 1;
        return told("id", (size_t)(found - s->inuse));
    }
    if (!get && !put && !dptr && !release && !is("fgrab")) wrong = "no such operation";
    long long id = integer("id"), len = find("len") ? integer("len") : (long long)s->size;
    const char *data = find("data");
    size_t n = data ? strspn(data + 1, "0123456789abcdef") / 2 : 0;
    if (put && !data) wrong = "no data";
    if (dptr && n > s->size) wrong = "more data than the slot has";
    if (wrong) return NULL;
    if (id < 0 || (size_t)id >= s->num || n > s->size || len < 0 || (size_t)len > s->size) return "APR_EINVAL";
    char *inuse = s->inuse + id, *slot = s->data + (size_t)id * s->size;
    if (!*inuse && (release || (s->pregrab && (get || put)))) return "APR_NOTFOUND";
    if (!dptr) *inuse = !release;
    for (size_t i = 0; i < n; i++) slot[i] = (char)strtol((char[]){data[2 * i + 1], data[2 * i + 2], 0}, NULL, 16);
    if (get || dptr) hex("\"data\":", slot, (size_t)len), printf(",");
    return SUCCESS;
}

/* The conversation. */
static const char *answer(void) {
    static long long generation;
    if (is("create") || is("attach")) return create(is("attach"));
    if (is("hello")) {
        generation = integer("generation");
        is_open = 1;
        printf(HELLO);
        return SUCCESS;
    }
    if (!is("restart") && !is("close")) return operate();
    if (!is_open) return "APR_ENOSHMAVAIL";
    for (Segment *s = segments; s < segments + nsegments; s++) {
        free(s->name), free(s->data), free(s->inuse);
        *s = (Segment){0}; /* its number stays taken */
    }
    is_open = is("restart");
    return is_open ? told("generation", (size_t)++generation) : SUCCESS;
}

int main(void) {
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        const char *end = strrchr(line, '}'), *status = NULL;
        wrong = *line == '{' && end && !end[1 + strspn(end + 1, "\r\n")] ? NULL : "no JSON object";
        if (!wrong && is("quit")) break;
        printf("{");
        if (!wrong) status = answer();
        printf(wrong ? "\"error\":\"%s\"}\n" : "\"status\":\"%s\"}\n", wrong ? wrong : status);
        fflush(stdout);
    }
    return 0;
}
