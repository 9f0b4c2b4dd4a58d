/* The loops of loops.py at the speed of C, over the functions of slotmem_abi.h.
 *
 * Who holds a slot says so in the slot's own memory, which is his: so a double grab is seen when it happens.
 */
#include "slotmem_abi.h"

#include <string.h>
#include <time.h>

typedef struct {
    long long holders, holder, since; /* how many hold it now; who was the last to say so, and when (0: nobody) */
} badge;

typedef struct {
    long long item_id, holder, held_since, grabber, grab_start, grab_end; /* ns of CLOCK_MONOTONIC */
} meeting;

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Grab and release for so long, keeping `keep` slots at a time. counts: grabs, and those that returned a slot which somebody
 * still held. first: the first of these whose holder is known. badges: the slots' memory. kept: room for `keep` ids. */
void race_grabs(slotmem_abi_segment *segment, int (*grab)(slotmem_abi_segment *, unsigned int *),
                int (*release)(slotmem_abi_segment *, unsigned int), badge **badges, long long process, size_t keep,
                unsigned int *kept, long long nanoseconds, long long counts[2], meeting *first);

void race_grabs(slotmem_abi_segment *segment, int (*grab)(slotmem_abi_segment *, unsigned int *),
                int (*release)(slotmem_abi_segment *, unsigned int), badge **badges, long long process, size_t keep,
                unsigned int *kept, long long nanoseconds, long long counts[2], meeting *first)
{
    const long long until = now() + nanoseconds;
    size_t grabbed = 0, released = 0;
    for (;;) {
        int more = now() < until;
        if (grabbed - released == keep || (!more && released < grabbed)) {
            unsigned int oldest = kept[released++ % keep];
            badges[oldest]->since = 0;
            __atomic_fetch_sub(&badges[oldest]->holders, 1, __ATOMIC_SEQ_CST);
            release(segment, oldest); /* a slot that was given twice is released twice */
        } else if (more) {
            meeting met = {0, 0, 0, process, now(), 0};
            unsigned int newest;
            badge *mine;
            if (grab(segment, &newest))
                continue; /* slots that were given twice and released once are lost to all */
            met.grab_end = now();
            mine = badges[newest];
            ++counts[0];
            if (__atomic_fetch_add(&mine->holders, 1, __ATOMIC_SEQ_CST) > 0) {
                met.item_id = newest;
                met.holder = mine->holder;
                met.held_since = mine->since;
                if (counts[1]++ == 0 || !first->held_since)
                    *first = met;
            }
            mine->holder = process;
            mine->since = met.grab_end;
            kept[grabbed++ % keep] = newest;
        } else {
            return;
        }
    }
}

/* Fill the slots from first to last in turn for so long, all with the same byte, then with the next; no two writers use
 * the same bytes. buffer: room for a slot. */
void race_puts(slotmem_abi_segment *segment, int (*put)(slotmem_abi_segment *, unsigned int, const void *, size_t),
               unsigned int first, unsigned int last, int writer, unsigned char *buffer, size_t len,
               long long nanoseconds);

void race_puts(slotmem_abi_segment *segment, int (*put)(slotmem_abi_segment *, unsigned int, const void *, size_t),
               unsigned int first, unsigned int last, int writer, unsigned char *buffer, size_t len,
               long long nanoseconds)
{
    const long long until = now() + nanoseconds;
    for (unsigned int round = 0; now() < until; ++round) {
        memset(buffer, writer << 4 | (round & 15), len);
        for (unsigned int item_id = first; item_id <= last; ++item_id)
            put(segment, item_id, buffer, len);
    }
}

/* Read slot 0 for so long. counts: gets, and those that mixed two puts. example: one of these. */
void race_gets(slotmem_abi_segment *segment, int (*get)(slotmem_abi_segment *, unsigned int, void *, size_t),
               unsigned char *buffer, size_t len, long long nanoseconds, long long counts[2], unsigned char *example);

void race_gets(slotmem_abi_segment *segment, int (*get)(slotmem_abi_segment *, unsigned int, void *, size_t),
               unsigned char *buffer, size_t len, long long nanoseconds, long long counts[2], unsigned char *example)
{
    const long long until = now() + nanoseconds;
    while (now() < until) {
        if (get(segment, 0, buffer, len))
            continue;
        ++counts[0];
        if (memcmp(buffer, buffer + 1, len - 1) != 0 && counts[1]++ == 0)
            memcpy(example, buffer, len);
    }
}

typedef struct {
    int op; /* an index of the functions */
    unsigned int item_id;
    const void *bytes; /* what to put */
    size_t len;
} call;

/* Do calls over and over for so long, whatever they answer. functions: grab, fgrab, release, get, put, num_free_slots. room: for
 * a slot. */
void race_calls(slotmem_abi_segment *segment, void *const functions[6], const call *calls, size_t number, void *room,
                long long nanoseconds);

void race_calls(slotmem_abi_segment *segment, void *const functions[6], const call *calls, size_t number, void *room,
                long long nanoseconds)
{
    const long long until = now() + nanoseconds;
    int (*const grab)(slotmem_abi_segment *, unsigned int *) = functions[0];
    int (*const get)(slotmem_abi_segment *, unsigned int, void *, size_t) = functions[3];
    int (*const put)(slotmem_abi_segment *, unsigned int, const void *, size_t) = functions[4];
    unsigned int (*const count)(slotmem_abi_segment *) = functions[5];
    while (now() < until) {
        int round;
        for (round = 0; round < 20; ++round) {
            size_t each;
            for (each = 0; each < number; ++each) {
                const call *now_done = &calls[each];
                unsigned int newest;
                switch (now_done->op) {
                case 0:
                    grab(segment, &newest);
                    break;
                case 3:
                    get(segment, now_done->item_id, room, now_done->len);
                    break;
                case 4:
                    put(segment, now_done->item_id, now_done->bytes, now_done->len);
                    break;
                case 5:
                    count(segment);
                    break;
                default: { /* fgrab, release */
                    int (*const mark)(slotmem_abi_segment *, unsigned int) = functions[now_done->op];
                    mark(segment, now_done->item_id);
                }
                }
            }
        }
    }
}
