/* slotmem_abi.h: the C interface through which slotmem's conformance suite drives a shared library ("abi:LIBRARY.so").
 *
 * A library that exports these functions is called through ctypes inside a driver process of its own, so that a crash is
 * a verdict about the library and not the end of the run.
 *
 * Interface:
 *
 * - The names, arguments and meanings are those of Apache's ap_slotmem_provider_t, without the pools.
 * - An `int` result is an APR status as APR 1.x numbers it on Linux; 0 is success. The ones that clauses ask for are
 *   below. Where a call fails, its out parameters mean nothing.
 * - One library is one server at a time: open, any calls, restart as often as wanted, close. It may be opened again.
 * - Handles and pointers from dptr are good until the next restart or close, and are never used after it.
 * - Ids, lengths and names are handed over as they are, wrong ones too: what they lead to is what the suite measures.
 *   `segment` is never NULL.
 * - Calls may come from any thread, several at a time.
 *
 * It is plain C89, needs nothing but <stddef.h>, and may be included from C++.
 */
#ifndef SLOTMEM_ABI_H
#define SLOTMEM_ABI_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLOTMEM_ABI_VERSION 1

enum {
    SLOTMEM_SUCCESS = 0,
    SLOTMEM_ENOENT = 2,          /* attach: nobody has created it */
    SLOTMEM_EACCES = 13,
    SLOTMEM_EEXIST = 17,         /* create: another process has it alive */
    SLOTMEM_EINVAL = 22,         /* id out of range; grab: every slot is in use; an argument that cannot be used */
    SLOTMEM_ENOSPC = 28,
    SLOTMEM_EGENERAL = 20014,
    SLOTMEM_ENOSHMAVAIL = 20015, /* attach: the names of anonymous memory */
    SLOTMEM_TIMEUP = 70007,
    SLOTMEM_NOTFOUND = 70015,    /* the slot is not in use */
    SLOTMEM_ENOTIMPL = 70023,
    SLOTMEM_EMISMATCH = 70024,   /* bytes that contradict themselves */
    SLOTMEM_EBUSY = 70025        /* open: it is open */
};

enum { SLOTMEM_PERSIST = 1, SLOTMEM_NOTMPSAFE = 2, SLOTMEM_PREGRAB = 4, SLOTMEM_CLEARINUSE = 8 };

typedef struct slotmem_abi_segment slotmem_abi_segment; /* yours to define */

/* Words with one blank between them, as in "1 myslots 0.3 shared": the ABI's version, the implementation's name, its
 * version, and what it can do: `shared` (other processes with the same runtime_dir can attach to its segments), `persist`
 * (PERSIST segments are stored in files and restored). May be called before open. */
const char *slotmem_abi_hello(void);

/* Begin a server. runtime_dir: the folder, with an absolute path, in which relative names live and are stored. */
int slotmem_abi_open(const char *runtime_dir, unsigned int generation);

/* Store what is persistent, destroy every segment that was created here, begin the next generation. */
int slotmem_abi_restart(void);

/* Store what is persistent, destroy every segment that was created here, and end. */
int slotmem_abi_close(void);

/* name: NULL, "" or "none" in any case is anonymous memory. A name that this server created gives the same handle. */
int slotmem_abi_create(slotmem_abi_segment **segment, const char *name, size_t item_size, unsigned int item_num,
                       unsigned int type);

int slotmem_abi_attach(slotmem_abi_segment **segment, const char *name, size_t *item_size, unsigned int *item_num);

/* The slot's own memory, in use or not. */
int slotmem_abi_dptr(slotmem_abi_segment *segment, unsigned int id, void **mem);

/* dest has room for len bytes, src has len bytes. */
int slotmem_abi_get(slotmem_abi_segment *segment, unsigned int id, void *dest, size_t len);
int slotmem_abi_put(slotmem_abi_segment *segment, unsigned int id, const void *src, size_t len);

unsigned int slotmem_abi_num_slots(slotmem_abi_segment *segment);
unsigned int slotmem_abi_num_free_slots(slotmem_abi_segment *segment);
size_t slotmem_abi_slot_size(slotmem_abi_segment *segment);

int slotmem_abi_grab(slotmem_abi_segment *segment, unsigned int *id);
int slotmem_abi_fgrab(slotmem_abi_segment *segment, unsigned int id);
int slotmem_abi_release(slotmem_abi_segment *segment, unsigned int id);

/* Call func on the slots in turn; the first status other than 0 stops the walk and is returned. */
int slotmem_abi_doall(slotmem_abi_segment *segment, int (*func)(void *mem, void *data), void *data);

#ifdef __cplusplus
}
#endif

#endif
