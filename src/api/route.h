/**
 * The table of routes: method, pattern, the API version that brought it, and what answers it.
 *
 * A pattern is a path with variables: "{id}" matches one part, "{name*}" any number of them (image
 * names have slashes); a row that comes first wins.
 */
#ifndef HULL_API_ROUTE_H
#define HULL_API_ROUTE_H

#include "api/req.h"

struct route {
    const char *method, *pattern;
    int since;            /* minor version; below it the route answers 400 */
    req_handler *handler; /* NULL: not there yet, 501 with the sentence below */
    const char *missing;
};

extern const struct route api_routes[];
extern const size_t api_n_routes;

/**
 * Find the route of a path without its version.
 *
 * out_vars  values of the variables in the arena.
 *
 * NULL when there is none.
 */
const struct route *route_find(const char *method, const char *path, struct arena *a,
                               const char *out_vars[static REQ_VARS_MAX]);

/** Split "/v1.41/x" into "/x" and 41; a path without version gives *out_minor = -1. Versions of
 * another major number give INT_MAX or 0. */
const char *route_version(const char *path, int *out_minor);

#define HANDLER(name) int name(struct req *rq, struct err *e)

/* system.c */
HANDLER(get_ping);
HANDLER(get_version);
HANDLER(get_info);
HANDLER(get_events);
HANDLER(get_df);
HANDLER(post_build_prune);
/* containers.c */
HANDLER(get_containers);
HANDLER(post_container_create);
HANDLER(get_container);
HANDLER(get_container_top);
HANDLER(post_container_start);
HANDLER(post_container_stop);
HANDLER(post_container_restart);
HANDLER(post_container_kill);
HANDLER(post_container_pause);
HANDLER(post_container_unpause);
HANDLER(post_container_rename);
HANDLER(post_container_update);
HANDLER(post_container_resize);
HANDLER(delete_container);
HANDLER(post_containers_prune);
/* streams.c */
HANDLER(get_container_logs);
HANDLER(get_container_stats);
HANDLER(post_container_wait);
HANDLER(post_container_attach);
/* exec.c */
HANDLER(post_exec_create);
HANDLER(post_exec_start);
HANDLER(post_exec_resize);
HANDLER(get_exec);
/* archive.c */
HANDLER(head_archive);
HANDLER(get_archive);
HANDLER(put_archive);
HANDLER(get_container_export);
/* images.c */
HANDLER(get_images);
HANDLER(post_image_create);
HANDLER(post_image_load);
HANDLER(get_image_save);
HANDLER(get_images_save);
HANDLER(get_image);
HANDLER(get_image_history);
HANDLER(post_image_tag);
HANDLER(delete_image);
HANDLER(post_images_prune);
HANDLER(post_commit);
HANDLER(post_image_push);
/* registry.c */
HANDLER(get_images_search);
HANDLER(get_distribution);
HANDLER(post_auth);
/* networks.c */
HANDLER(get_networks);
HANDLER(get_network);
HANDLER(post_network_create);
HANDLER(delete_network);
HANDLER(post_network_connect);
HANDLER(post_network_disconnect);
HANDLER(post_networks_prune);
HANDLER(get_volumes);
HANDLER(get_volume);
HANDLER(post_volume_create);
HANDLER(delete_volume);
HANDLER(post_volumes_prune);

#endif
