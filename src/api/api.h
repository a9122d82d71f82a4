/**
 * The Docker Engine API over HTTP: decode, call the engine, encode. Nothing here decides anything.
 */
#ifndef HULL_API_API_H
#define HULL_API_API_H

#include "engine/engine.h"
#include "rpc/http_server.h"

/* Versions 1.24 to 1.51, as minor numbers. */
enum { API_VERSION_MIN = 24, API_VERSION_MAX = 51 };

/** What api_handle is given as its argument. */
struct api {
    struct engine *engine;
    int min_version; /* API_VERSION_MIN or higher (min-api-version in daemon.json); 0: the default
                      */
    bool experimental;
};

/** The handler for http_server_new; arg: a struct api that outlives the server. */
void api_handle(struct http_req *rq, void *arg);

#endif
