// The tree of the simulated xenstored: nodes, and who may do what to them.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // store_write

#include <stdarg.h>

struct node {
    char *path, *value;
    u32 len;
};

static struct node nodes[2048];
static int node_count;


/****************************************************************
 * The tree
 ****************************************************************/

static struct node *
find(const char *path)
{
    // they are in order
    int from = 0, to = node_count;
    while (from < to) {
        int middle = (from + to) / 2, order = strcmp(nodes[middle].path, path);
        if (!order)
            return &nodes[middle];
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

static int
is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    return !strncmp(path, dir, len) && path[len] == '/';
}

int
store_is_below(const char *path, const char *dir)
{
    return !strcmp(path, dir) || is_below(path, dir);
}

static void
set(const char *path, const char *value, u32 len)
{
    struct node *node = find(path);
    if (!node) {
        // parents come first
        char *parent = strdup(path), *slash = strrchr(parent, '/');
        if (slash && slash != parent) {
            *slash = 0;
            if (!find(parent))
                set(parent, "", 0);
        }
        free(parent);
        if (node_count == ARRAY_SIZE(nodes))
            fail("store: too many nodes");
        for (node = nodes + node_count; node > nodes; node--) {
            if (strcmp(node[-1].path, path) < 0)
                break;
            *node = node[-1];
        }
        node_count++;
        *node = (struct node){ strdup(path) };
    }
    free(node->value);
    node->value = malloc(len + 1);
    memcpy(node->value, value, len);
    node->value[len] = 0;
    node->len = len;
}

void
store_write_bytes(const char *path, const char *value, u32 len)
{
    set(path, value, len);
    store_changed(path, 0);
}

void
store_write(const char *path, const char *value)
{
    store_write_bytes(path, value, strlen(value));
}

void
store_printf(const char *value, const char *path, ...)
{
    char text[512];
    va_list args;
    va_start(args, path);
    vsnprintf(text, sizeof(text), path, args);
    va_end(args);
    store_write(text, value);
}

const char *
store_read(const char *path)
{
    struct node *node = find(path);
    return node ? node->value : NULL;
}

void
store_rm(const char *path)
{
    int i, to = 0;
    char *copy = strdup(path);
    // who watches something below it is told as well, and may still see it
    store_changed(copy, 1);
    for (i = 0; i < node_count; i++) {
        if (strcmp(nodes[i].path, copy) && !is_below(nodes[i].path, copy)) {
            nodes[to++] = nodes[i];
            continue;
        }
        free(nodes[i].path);
        free(nodes[i].value);
    }
    node_count = to;
    store_gone(copy);
    free(copy);
}

char *
store_dump(const char *path)
{
    static char text[16384];
    int i, len = 0;
    text[0] = 0;
    for (i = 0; i < node_count; i++)
        if (is_below(nodes[i].path, path))
            len += snprintf(text + len, sizeof(text) - len, "%s = \"%.200s\"\n"
                            , nodes[i].path, nodes[i].value);
    return text;
}

const char *
store_get(const char *path, u32 *len)
{
    struct node *node = find(path);
    *len = node ? node->len : 0;
    return node ? node->value : NULL;
}

int
store_list(const char *path, char *list, u32 size)
{
    u32 len = 0;
    int i;
    for (i = 0; i < node_count; i++) {
        const char *name = nodes[i].path;
        if (!is_below(name, path))
            continue;
        name += strlen(path) + 1;
        if (strchr(name, '/'))
            continue;
        if (len + strlen(name) + 1 > size)
            return -1;
        strcpy(list + len, name);
        len += strlen(name) + 1;
    }
    return len;
}

u32
store_nodes(void)
{
    return node_count;
}

void
tree_stop(void)
{
    while (node_count--) {
        free(nodes[node_count].path);
        free(nodes[node_count].value);
    }
    node_count = 0;
}


/****************************************************************
 * Permissions of the guest, as libxl gives them
 ****************************************************************/

// Say whether the guest may read a node: its own ones, and the directories of its
// backends; what is above those is not its to see. (/x belongs to the tests.)
static int
is_readable(const char *path)
{
    char own[64];
    int i;
    snprintf(own, sizeof(own), "/local/domain/%u", hv.domid);
    if (store_is_below(path, own) || store_is_below(path, "/x"))
        return 1;
    for (i = 0; i < backend_count; i++)
        if (store_is_below(path, backends[i]->backend))
            return 1;
    return store.readable && store_is_below(path, store.readable);
}

// Say whether it may write a node: in the directories of its frontends, which the
// toolstack makes for it, and which it cannot make itself.
static int
is_writable(const char *path)
{
    char devices[64];
    size_t len;
    snprintf(devices, sizeof(devices), "/local/domain/%u/device/vbd/", hv.domid);
    len = strlen(devices);
    return (!strncmp(path, devices, len) && path[len])
           || (store.writable && store_is_below(path, store.writable));
}

// The nearest node above a path that exists.
static void
go_to_parent(char *path)
{
    do
        *(strrchr(path, '/') ?: path) = 0;
    while (*path && !find(path));
}

const char *
store_refusal(const char *path, int write)
{
    char parent[XENSTORE_PAYLOAD_MAX + 32];
    int allowed = write ? is_writable(path) : is_readable(path);
    if (find(path))
        return allowed ? NULL : "EACCES";
    strcpy(parent, path);
    go_to_parent(parent);
    allowed = write ? is_writable(parent) : is_readable(parent);
    if (write)
        // it is made if the node above may be written
        return allowed ? NULL : "EACCES";
    // the C xenstored does not tell who may not see what is above
    return allowed || store.kind == OXENSTORED ? "ENOENT" : "EACCES";
}
