/* A driver in C. It is a small real implementation: slots in the memory of this one process. Nothing is shared or stored.
 * Build: cc -O2 -o driver driver.c      Run: slotmem conform exec:./driver
 * The JSON reader is made for this protocol: an object of integers, strings and arrays of strings, all that it must take here. */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct { char kind, *text; long long number; } Value; /* kind: i(nteger), s(tring), a(rray), n(ull), or 0 for missing */
typedef struct { char *name, *data, *inuse; size_t size, num; int pregrab; } Segment;

static struct { char *key; Value value; } fields[16];
static Segment *segments;
static size_t nsegments;
static int nfields, is_open;
static long long generation;

static char *blank(char *p) { return p + strspn(p, " \t\r\n"); }

/* Undo the escapes of a string in place, give what follows its closing quote. A NUL becomes 0xff, which no name may have. */
static char *string(char *p, char **text) {
    char *to = *text = p + 1;
    for (p++; *p && *p != '"'; p++) {
        unsigned code;
        int length = 0;
        if (*p != '\\') *to++ = *p;
        else if (*++p != 'u') { const char *at = strchr("\"\\/bfnrt", *p); if (!*p || !at) return NULL; *to++ = "\"\\/\b\f\n\r\t"[at - "\"\\/bfnrt"]; }
        else if (sscanf(p + 1, "%4x%n", &code, &length) != 1 || length != 4) return NULL;
        else { /* UTF-8; halves of a pair one by one, which keeps names apart as well */
            p += 4;
            if (!code) *to++ = '\xff';
            else if (code < 0x80) *to++ = (char)code;
            else { if (code < 0x800) *to++ = (char)(0xc0 | code >> 6); else { *to++ = (char)(0xe0 | code >> 12); *to++ = (char)(0x80 | (code >> 6 & 63)); } *to++ = (char)(0x80 | (code & 63)); }
        }
    }
    char *end = *p ? p + 1 : NULL;
    *to = 0;
    return end;
}

static char *value(char *p, Value *into) {
    into->kind = *p == '"' ? 's' : *p == '[' ? 'a' : *p == 'n' ? 'n' : 'i';
    if (*p == '"') return string(p, &into->text);
    if (*p == '[') { into->text = p + 1; p = strchr(p, ']'); if (p) *p++ = 0; return p; }
    if (*p == 'n') return strncmp(p, "null", 4) ? NULL : p + 4;
    char *end;
    into->number = strtoll(p, &end, 10);
    return end == p || !(isdigit(*p) || *p == '-') ? NULL : end;
}

static int parse(char *p) { /* 1 if the line is an object */
    nfields = 0;
    if (*(p = blank(p)) != '{') return 0;
    do {
        if (nfields == 16 || *(p = blank(p + 1)) != '"' || !(p = string(p, &fields[nfields].key))) return 0;
        if (*(p = blank(p)) != ':' || !(p = value(blank(p + 1), &fields[nfields++].value))) return 0;
    } while (*(p = blank(p)) == ',');
    return *p == '}' && !*blank(p + 1);
}

static Value get(const char *key, char kind) { /* kind 0 in the answer: it is missing, or of another kind */
    for (int i = 0; i < nfields; i++) if (!strcmp(fields[i].key, key) && fields[i].value.kind == kind) return fields[i].value;
    return (Value){0};
}

static void answer(const char *status) { printf("{\"status\":\"%s\"}\n", status); }
static void error(const char *why) { printf("{\"error\":\"%s\"}\n", why); }
static void number(const char *key, long long n) { printf("{\"status\":\"APR_SUCCESS\",\"%s\":%lld}\n", key, n); }
static void hex(const char *data, size_t n) {
    printf("{\"status\":\"APR_SUCCESS\",\"data\":\"");
    for (size_t i = 0; i < n; i++) printf("%02x", (unsigned char)data[i]);
    printf("\"}\n");
}

static void end_all(void) { /* the numbers stay taken: an ended segment has no memory */
    for (size_t i = 0; i < nsegments; i++) { free(segments[i].data); free(segments[i].inuse); free(segments[i].name); segments[i] = (Segment){0}; }
}

static int climbs(const char *name) { /* .. is a part of it */
    for (const char *at = name; (at = strstr(at, "..")); at += 2) if ((at == name || at[-1] == '/') && (!at[2] || at[2] == '/')) return 1;
    return 0;
}

static void create(int attach) {
    Value name = get("name", 's'), size = get("item_size", 'i'), num = get("item_num", 'i'), type = get("type", 'a');
    size_t total, i;
    if (!name.kind && !get("name", 'n').kind) { error("no name"); return; }
    if (!attach && !(size.kind && num.kind && type.kind)) { error("no item_size, item_num or type"); return; }
    if (!name.kind || !*name.text || !strcasecmp(name.text, "none")) name.text = NULL; /* anonymous memory */
    if (!is_open || (attach && !name.text)) { answer("APR_ENOSHMAVAIL"); return; }
    if (name.text && (climbs(name.text) || strchr(name.text, '\xff'))) { answer("APR_EINVAL"); return; }
    for (i = 0; name.text && i < nsegments; i++) if (segments[i].name && !strcmp(segments[i].name, name.text)) break;
    if (name.text && i < nsegments) {
        if (attach) printf("{\"status\":\"APR_SUCCESS\",\"segment\":%zu,\"item_size\":%zu,\"item_num\":%zu}\n", i, segments[i].size, segments[i].num);
        else number("segment", (long long)i);
    } else if (attach) answer("APR_ENOENT");
    /* 32: what httpd has before the slots */
    else if (__builtin_mul_overflow((size_t)size.number, (size_t)num.number, &total) || (total + (size_t)num.number + 32) >> 63) answer("APR_EINVAL");
    else {
        Segment made = {NULL, calloc(total + 1, 1), calloc((size_t)num.number + 1, 1), (size_t)size.number, (size_t)num.number, !!strstr(type.text, "\"PREGRAB\"")};
        if (!made.data || !made.inuse) { free(made.data); free(made.inuse); answer("APR_ENOSPC"); return; }
        made.name = name.text ? strdup(name.text) : NULL;
        segments = realloc(segments, (nsegments + 1) * sizeof *segments);
        segments[nsegments] = made;
        number("segment", (long long)nsegments++);
    }
}

static void operate(const char *op) {
    Value segment = get("segment", 'i'), id = get("id", 'i'), len = get("len", 'i'), data = get("data", 's');
    int takes_id = !strcmp(op, "fgrab") || !strcmp(op, "release") || !strcmp(op, "get") || !strcmp(op, "put") || !strcmp(op, "dptr");
    int is_put = !strcmp(op, "put"), is_get = !strcmp(op, "get");
    if (!takes_id && strcmp(op, "grab") && strcmp(op, "num_slots") && strcmp(op, "num_free_slots") && strcmp(op, "slot_size")) { error("no such operation"); return; }
    if (!segment.kind || segment.number < 0 || (size_t)segment.number >= nsegments) { error("no such segment"); return; }
    if ((takes_id && !id.kind) || (is_put && !data.kind)) { error("no id or data"); return; }
    Segment *s = &segments[segment.number];
    size_t n = data.kind ? strlen(data.text) / 2 : 0, free_slots = 0;
    if (data.kind && (strlen(data.text) % 2 || data.text[strspn(data.text, "0123456789abcdef")])) { error("no hexadecimal data"); return; }
    if (!s->data) { answer("APR_ENOSHMAVAIL"); return; } /* ended by restart or close */
    if (!strcmp(op, "num_slots")) { number("value", (long long)s->num); return; }
    if (!strcmp(op, "slot_size")) { number("value", (long long)s->size); return; }
    if (!strcmp(op, "num_free_slots")) { for (size_t i = 0; i < s->num; i++) free_slots += !s->inuse[i]; number("value", (long long)free_slots); return; }
    if (!strcmp(op, "grab")) {
        char *found = memchr(s->inuse, 0, s->num);
        if (found) { *found = 1; number("id", found - s->inuse); } else answer("APR_EINVAL");
        return;
    }
    if (id.number < 0 || (size_t)id.number >= s->num) { answer("APR_EINVAL"); return; }
    char *inuse = s->inuse + id.number, *slot = s->data + (size_t)id.number * s->size;
    if (!strcmp(op, "dptr") && n > s->size) { error("more data than the slot has"); return; }
    if ((is_put && n > s->size) || (is_get && len.kind && (len.number < 0 || (size_t)len.number > s->size))) { answer("APR_EINVAL"); return; }
    if (!*inuse && (!strcmp(op, "release") || ((is_get || is_put) && s->pregrab))) { answer("APR_NOTFOUND"); return; }
    if (strcmp(op, "dptr")) *inuse = !!strcmp(op, "release");
    for (size_t i = 0; i < n; i++) { unsigned byte; sscanf(data.text + 2 * i, "%2x", &byte); slot[i] = (char)byte; }
    if (is_get || !strcmp(op, "dptr")) hex(slot, is_get && len.kind ? (size_t)len.number : s->size);
    else answer("APR_SUCCESS");
}

int main(void) {
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        Value op = {0};
        if (parse(line)) op = get("op", 's');
        if (!op.kind) error("a line that is no request");
        else if (!strcmp(op.text, "quit")) break;
        else if (!strcmp(op.text, "hello")) {
            generation = get("generation", 'i').number;
            is_open = 1;
            printf("{\"protocol\":1,\"implementation\":\"slots of a C process\",\"version\":\"1\",\"language\":\"C\",\"capabilities\":[\"restart\",\"dptr\"]}\n");
        } else if (!strcmp(op.text, "create") || !strcmp(op.text, "attach")) create(*op.text == 'a');
        else if (!strcmp(op.text, "restart") && is_open) { end_all(); number("generation", ++generation); }
        else if (!strcmp(op.text, "restart")) answer("APR_ENOSHMAVAIL");
        else if (!strcmp(op.text, "close")) { end_all(); is_open = 0; answer("APR_SUCCESS"); }
        else operate(op.text);
        fflush(stdout);
    }
    return 0;
}
