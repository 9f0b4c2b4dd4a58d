/* A host for Apache's slotmem modules: it gives an unmodified mod_slotmem_shm.so or mod_slotmem_plain.so what it wants
 * from httpd, and exports it as slotmem_abi.h asks.
 *
 * Interface:
 *
 * - slotmem_httpd_module(path) says which binary, before anything else, and answers NULL or why it cannot be used; the
 *   rest is slotmem_abi.h.
 * - The host must be loaded with its symbols global, after libapr-1 and libaprutil-1 (global too): the module finds both
 *   by name.
 * - A server lifetime is what it is in httpd: the module is loaded, its hooks registered, the configuration pool made,
 *   pre_config run; at the end post_config's cleanup runs as the pool is destroyed, and the module is unloaded.
 *
 * What is declared here of httpd and APR are facts of their binary interface (httpd 2.4, APR 1.x on a 64-bit or 32-bit
 * Unix); no header of theirs is needed.
 *
 * What it does not do: configuration, workers, log files. Messages of level notice and worse go to standard error.
 */
#include "slotmem_abi.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* APR */
typedef struct apr_pool_t apr_pool_t;
int apr_initialize(void);
int apr_pool_create_ex(apr_pool_t **pool, apr_pool_t *parent, void *abort_fn, void *allocator);
void apr_pool_destroy(apr_pool_t *pool);
int apr_filepath_merge(char **newpath, const char *rootpath, const char *addpath, int flags, apr_pool_t *pool);
char *apr_pstrdup(apr_pool_t *pool, const char *string);
#define FILEPATH_TRUENAME 0x20
#define IS_MISSING(status) ((status) == 2 || (status) == 20) /* ENOENT, ENOTDIR */
#define EPATHWILD 20025

/* httpd: include/ap_slotmem.h, http_config.h, ap_mpm.h, http_log.h */
typedef struct slotmem_abi_segment instance; /* the module's own; never looked into */
typedef struct {
    const char *name;
    int (*doall)(instance *, int (*)(void *, void *, apr_pool_t *), void *, apr_pool_t *);
    int (*create)(instance **, const char *, size_t, unsigned int, unsigned int, apr_pool_t *);
    int (*attach)(instance **, const char *, size_t *, unsigned int *, apr_pool_t *);
    int (*dptr)(instance *, unsigned int, void **);
    int (*get)(instance *, unsigned int, void *, size_t);
    int (*put)(instance *, unsigned int, const void *, size_t);
    unsigned int (*num_slots)(instance *);
    unsigned int (*num_free_slots)(instance *);
    size_t (*slot_size)(instance *);
    int (*grab)(instance *, unsigned int *);
    int (*release)(instance *, unsigned int);
    int (*fgrab)(instance *, unsigned int);
} slotmem_provider;
typedef struct {
    int version, minor_version, module_index;
    const char *name;
    void *dynamic_load_handle, *next;
    unsigned long magic;
    void *rewrite_args, *configs[4], *cmds;
    void (*register_hooks)(apr_pool_t *);
} module;
#define MODULE_MAGIC 0x41503234UL /* "AP24" */
#define MPMQ_GENERATION 15
#define LOG_LEVEL_MASK 7
#define LOG_WARNING 4
#define LOG_NOTICE 5
typedef struct {
    void *process_next_error_fname_error_log[4];
    signed char *module_log_levels; /* NULL: all as log_level */
    int log_level;
    char unused[1024];
} server;
typedef int config_hook(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server *main);

static char module_path[4096], runtime_dir[4096], hello[256] = "1 httpd none";
static unsigned int generation;
static int is_open;
static void *loaded;
static apr_pool_t *pconf;
static config_hook *pre_config, *post_config;
static const slotmem_provider *slotmem;

/* ---- what the modules want from httpd ---- */

/* The main server. It must be there: without one the module takes every message to be wanted and works out what it
 * would say, at release the in-use byte of an id out of range. LogLevel is httpd's default. */
static server main_server = {{0}, NULL, LOG_WARNING, {0}};
server *ap_server_conf = &main_server;

void ap_log_error_(const char *file, int line, int module_index, int level, int status, const void *logging_server,
                   const char *format, ...)
{
    va_list arguments;
    (void)file, (void)line, (void)module_index, (void)logging_server;
    if ((level & LOG_LEVEL_MASK) > LOG_NOTICE)
        return;
    fprintf(stderr, "httpd: (%d) ", status);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

int ap_mpm_query(int code, int *result)
{
    if (code != MPMQ_GENERATION)
        return SLOTMEM_ENOTIMPL;
    *result = (int)generation;
    return SLOTMEM_SUCCESS;
}

int ap_os_is_path_absolute(apr_pool_t *pool, const char *path)
{
    (void)pool;
    return path[0] == '/';
}

char *ap_runtime_dir_relative(apr_pool_t *pool, const char *file)
{
    char *path = NULL;
    int status = apr_filepath_merge(&path, runtime_dir, file, FILEPATH_TRUENAME, pool);
    return status == 0 || status == EPATHWILD || IS_MISSING(status) ? path : NULL;
}

int ap_register_provider(apr_pool_t *pool, const char *group, const char *name, const char *version,
                         const void *provider)
{
    (void)pool, (void)name;
    if (strcmp(group, "slotmem") == 0 && strcmp(version, "0") == 0)
        slotmem = provider;
    return SLOTMEM_SUCCESS;
}

void ap_hook_pre_config(config_hook *hook, const char *const *before, const char *const *after, int order)
{
    (void)before, (void)after, (void)order;
    pre_config = hook;
}

void ap_hook_post_config(config_hook *hook, const char *const *before, const char *const *after, int order)
{
    (void)before, (void)after, (void)order;
    post_config = hook;
}

/* ---- a server lifetime ---- */

static module *find_module(void)
{
    module *found = dlsym(loaded, "slotmem_shm_module");
    if (!found)
        found = dlsym(loaded, "slotmem_plain_module");
    return found && found->magic == MODULE_MAGIC ? found : NULL;
}

/* The module's number (MMN) tells httpd's version; nothing else in the binary does. */
static void describe(const module *found)
{
    int is_shm = dlsym(loaded, "slotmem_shm_module") != NULL;
    snprintf(hello, sizeof hello, "1 mod_slotmem_%s MMN-%d.%d%s", is_shm ? "shm" : "plain", found->version,
             found->minor_version, is_shm ? " shared persist" : "");
}

static int stop(void)
{
    /* httpd runs this hook last, when its callers have made their segments, and pools run their cleanups backwards: the
     * module stores its segments before APR unmaps them. */
    int status = post_config ? post_config(pconf, pconf, pconf, ap_server_conf) : SLOTMEM_SUCCESS;
    apr_pool_destroy(pconf);
    dlclose(loaded);
    is_open = 0;
    return status;
}

static int start(void)
{
    int status = apr_pool_create_ex(&pconf, NULL, NULL, NULL);
    if (status)
        return status;
    if (!(loaded = dlopen(module_path, RTLD_NOW))) {
        apr_pool_destroy(pconf);
        return SLOTMEM_ENOENT;
    }
    is_open = 1;
    pre_config = post_config = NULL;
    slotmem = NULL;
    find_module()->register_hooks(pconf);
    if (slotmem && pre_config && (status = pre_config(pconf, pconf, pconf, NULL)) == SLOTMEM_SUCCESS)
        return SLOTMEM_SUCCESS;
    stop();
    return status ? status : SLOTMEM_ENOTIMPL;
}

/* ---- slotmem_abi.h ---- */

const char *slotmem_httpd_module(const char *path)
{
    module *found;
    if (is_open)
        return "a server is open in this process";
    if (strlen(path) >= sizeof module_path)
        return "its path is too long";
    if (!(loaded = dlopen(path, RTLD_NOW)))
        return dlerror();
    if ((found = find_module())) {
        describe(found);
        strcpy(module_path, path);
    }
    dlclose(loaded);
    return found ? NULL : "it is no slotmem module of httpd 2.4";
}

const char *slotmem_abi_hello(void)
{
    return hello;
}

int slotmem_abi_open(const char *folder, unsigned int first_generation)
{
    int status;
    if (is_open)
        return SLOTMEM_EBUSY;
    if (!*module_path || strlen(folder) >= sizeof runtime_dir)
        return SLOTMEM_EINVAL;
    if ((status = apr_initialize()))
        return status;
    strcpy(runtime_dir, folder);
    generation = first_generation;
    return start();
}

int slotmem_abi_restart(void)
{
    int status;
    if (!is_open)
        return SLOTMEM_ENOSHMAVAIL;
    status = stop();
    ++generation;
    return status ? status : start();
}

int slotmem_abi_close(void)
{
    return is_open ? stop() : SLOTMEM_ENOSHMAVAIL; /* a restart may have failed half-way */
}

int slotmem_abi_create(slotmem_abi_segment **segment, const char *name, size_t item_size, unsigned int item_num,
                       unsigned int type)
{
    return slotmem->create(segment, name, item_size, item_num, type, pconf);
}

int slotmem_abi_attach(slotmem_abi_segment **segment, const char *name, size_t *item_size, unsigned int *item_num)
{
    return slotmem->attach(segment, name, item_size, item_num, pconf);
}

int slotmem_abi_dptr(slotmem_abi_segment *segment, unsigned int id, void **mem)
{
    return slotmem->dptr(segment, id, mem);
}

int slotmem_abi_get(slotmem_abi_segment *segment, unsigned int id, void *dest, size_t len)
{
    return slotmem->get(segment, id, dest, len);
}

int slotmem_abi_put(slotmem_abi_segment *segment, unsigned int id, const void *src, size_t len)
{
    return slotmem->put(segment, id, src, len);
}

unsigned int slotmem_abi_num_slots(slotmem_abi_segment *segment)
{
    return slotmem->num_slots(segment);
}

unsigned int slotmem_abi_num_free_slots(slotmem_abi_segment *segment)
{
    return slotmem->num_free_slots(segment);
}

size_t slotmem_abi_slot_size(slotmem_abi_segment *segment)
{
    return slotmem->slot_size(segment);
}

int slotmem_abi_grab(slotmem_abi_segment *segment, unsigned int *id)
{
    return slotmem->grab(segment, id);
}

int slotmem_abi_fgrab(slotmem_abi_segment *segment, unsigned int id)
{
    return slotmem->fgrab(segment, id);
}

int slotmem_abi_release(slotmem_abi_segment *segment, unsigned int id)
{
    return slotmem->release(segment, id);
}

/* httpd's callback takes a pool too. */
typedef struct {
    int (*func)(void *mem, void *data);
    void *data;
} walk;

static int call(void *mem, void *data, apr_pool_t *pool)
{
    walk *walked = data;
    (void)pool;
    return walked->func(mem, walked->data);
}

int slotmem_abi_doall(slotmem_abi_segment *segment, int (*func)(void *mem, void *data), void *data)
{
    walk walked;
    walked.func = func;
    walked.data = data;
    return slotmem->doall(segment, call, &walked, pconf);
}
