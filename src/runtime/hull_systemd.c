/*
 * hull-systemd: one call of systemd's manager over sd-bus. See unit_job.h. The manager's private
 * socket comes first: it works without a bus daemon, and early in the boot.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "runtime/unit_job.h"
#include "sys/job.h"

#define JOB_BYTES_MAX (1 << 20)
#define WAIT_NS (30 * NS_PER_S) /* as runc */
#define NAME "org.freedesktop.systemd1"
#define PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"

struct manager {
    sd_bus *bus;
    uint64_t version;
    char *job;       /* the job we wait for; NULL before it is known */
    char result[32]; /* how it ended; "" while it has not */
};

static void manager_close(struct manager *m)
{
    sd_bus_flush_close_unref(m->bus);
    free(m->job);
}

/* ---- connection --------------------------------------------------------------------------- */

static int connect_to(const char *dir, const char *socket, bool is_bus, sd_bus **out)
{
    sd_bus *bus = NULL;
    auto_free char *address = mem_printf("unix:path=%s/%s", dir, socket);
    int r = sd_bus_new(&bus);
    if (r >= 0)
        r = sd_bus_set_address(bus, address);
    if (r >= 0 && is_bus)
        r = sd_bus_set_bus_client(bus, 1);
    if (r >= 0)
        r = sd_bus_start(bus);
    if (r < 0) {
        sd_bus_unref(bus);
        return r;
    }
    *out = bus;
    return 0;
}

static int on_job_removed(sd_bus_message *msg, void *arg, sd_bus_error *ignored)
{
    struct manager *m = arg;
    uint32_t id;
    const char *path, *unit, *result;
    (void)ignored;
    if (sd_bus_message_read(msg, "uoss", &id, &path, &unit, &result) < 0)
        return 0;
    if (m->job != NULL && strcmp(m->job, path) == 0)
        (void)snprintf(m->result, sizeof(m->result), "%s", result);
    return 0;
}

/* dir: "/run", or the runtime folder of the user whose manager it is. The manager's own socket is
 * there when no bus is. */
static int manager_open(struct manager *m, const char *dir, struct err *e)
{
    char *version = NULL;
    int r = connect_to(dir, "systemd/private", false, &m->bus);
    if (r < 0 && strcmp(dir, "/run") == 0)
        r = sd_bus_open_system(&m->bus);
    else if (r < 0)
        r = connect_to(dir, "bus", true, &m->bus);
    if (r < 0)
        return err_neg(e, r, "unable to connect to systemd");
    r = sd_bus_match_signal(m->bus, NULL, NULL, PATH, MANAGER, "JobRemoved", on_job_removed, m);
    if (r < 0)
        return err_neg(e, r, "unable to hear of systemd's jobs");
    /* needed on a bus, unknown to some private sockets */
    (void)sd_bus_call_method(m->bus, NAME, PATH, MANAGER, "Subscribe", NULL, NULL, "");
    if (sd_bus_get_property_string(m->bus, NAME, PATH, MANAGER, "Version", NULL, &version) >= 0)
        m->version = strtoull(version + strspn(version, "v"), NULL, 10);
    free(version);
    return 0;
}

/* ---- properties --------------------------------------------------------------------------- */

static int append_basic(sd_bus_message *msg, char type, const char *value)
{
    bool text = type == 's' || type == 'o' || type == 'g';
    union {
        uint64_t t;
        int64_t x;
        uint32_t u;
        int32_t i;
        uint16_t q;
        int16_t n;
        uint8_t y;
        double d;
        int b;
    } v = {0};
    switch (type) {
    case 't':
        v.t = strtoull(value, NULL, 10);
        break;
    case 'x':
        v.x = strtoll(value, NULL, 10);
        break;
    case 'u':
        v.u = (uint32_t)strtoul(value, NULL, 10);
        break;
    case 'i':
        v.i = (int32_t)strtol(value, NULL, 10);
        break;
    case 'q':
        v.q = (uint16_t)strtoul(value, NULL, 10);
        break;
    case 'n':
        v.n = (int16_t)strtol(value, NULL, 10);
        break;
    case 'y':
        v.y = (uint8_t)strtoul(value, NULL, 10);
        break;
    case 'd':
        v.d = strtod(value, NULL);
        break;
    case 'b':
        v.b = strcmp(value, "true") == 0;
        break;
    default:
        break;
    }
    return sd_bus_message_append_basic(msg, type, text ? (const void *)value : &v);
}

static int append_value(sd_bus_message *msg, const struct unit_property *p)
{
    const char *element = p->type + 1;
    if (p->type[0] != 'a')
        return p->values.n == 1 ? append_basic(msg, p->type[0], p->values.v[0]) : -EINVAL;
    bool pairs = strcmp(element, "(ss)") == 0;
    int r = sd_bus_message_open_container(msg, 'a', element);
    for (size_t i = 0; r >= 0 && i + pairs < p->values.n; i += 1 + (size_t)pairs)
        r = pairs ? sd_bus_message_append(msg, "(ss)", p->values.v[i], p->values.v[i + 1])
                  : append_basic(msg, element[0], p->values.v[i]);
    return r < 0 ? r : sd_bus_message_close_container(msg);
}

static int append_property(sd_bus_message *msg, const struct unit_property *p)
{
    int r = sd_bus_message_open_container(msg, 'r', "sv");
    if (r >= 0)
        r = sd_bus_message_append_basic(msg, 's', p->name);
    if (r >= 0)
        r = sd_bus_message_open_container(msg, 'v', p->type);
    if (r >= 0)
        r = append_value(msg, p);
    if (r >= 0)
        r = sd_bus_message_close_container(msg);
    return r < 0 ? r : sd_bus_message_close_container(msg);
}

static int append_properties(const struct manager *m, sd_bus_message *msg,
                             const struct unit_job *job, struct err *e)
{
    int r = sd_bus_message_open_container(msg, 'a', "(sv)");
    vec_each(p, &job->properties) {
        if (r < 0 || (m->version != 0 && m->version < p->since))
            continue;
        r = append_property(msg, p);
        if (r < 0)
            return err_neg(e, r, "unit property %s", p->name);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(msg);
    return r < 0 ? err_neg(e, r, "unit properties") : 0;
}

/* ---- calls -------------------------------------------------------------------------------- */

static int wait_for_job(struct manager *m, const char *unit, struct err *e)
{
    int64_t deadline = time_mono_ns() + WAIT_NS;
    while (m->result[0] == '\0') {
        int r = sd_bus_process(m->bus, NULL);
        if (r < 0)
            return err_neg(e, r, "wait for systemd");
        if (r > 0)
            continue;
        int64_t left = (deadline - time_mono_ns()) / 1000;
        if (left <= 0)
            return err_set(e, ERR_TIMEOUT, "timeout waiting for systemd's job on %s", unit);
        r = sd_bus_wait(m->bus, (uint64_t)left);
        if (r < 0 && r != -EINTR)
            return err_neg(e, r, "wait for systemd");
    }
    return 0;
}

static void reset_failed(const struct manager *m, const char *unit)
{
    (void)sd_bus_call_method(m->bus, NAME, PATH, MANAGER, "ResetFailedUnit", NULL, NULL, "s", unit);
}

static int start_message(struct manager *m, const struct unit_job *job, sd_bus_message **out,
                         struct err *e)
{
    int r = sd_bus_message_new_method_call(m->bus, out, NAME, PATH, MANAGER, "StartTransientUnit");
    if (r >= 0)
        r = sd_bus_message_append(*out, "ss", job->unit, "replace");
    if (r >= 0)
        TRY(append_properties(m, *out, job, e));
    if (r >= 0)
        r = sd_bus_message_append(*out, "a(sa(sv))", 0);
    return r < 0 ? err_neg(e, r, "StartTransientUnit") : 0;
}

/* 1: done, and the answer's job is remembered; 0: the unit exists already. */
static int start_once(struct manager *m, const struct unit_job *job, struct err *e)
{
    sd_bus_message *msg = NULL, *reply = NULL;
    sd_bus_error why = SD_BUS_ERROR_NULL;
    const char *path = NULL;
    int done = start_message(m, job, &msg, e);
    int r = done < 0 ? 0 : sd_bus_call(m->bus, msg, 0, &why, &reply);
    if (r >= 0 && done == 0)
        r = sd_bus_message_read(reply, "o", &path);
    if (path != NULL) {
        m->job = mem_strdup(path);
        done = 1;
    } else if (r < 0 && !sd_bus_error_has_name(&why, NAME ".UnitExists")) {
        done = err_set(e, ERR_INTERNAL, "unable to start unit \"%s\": %s", job->unit,
                       why.message != NULL ? why.message : strerrordesc_np(-r));
    }
    sd_bus_error_free(&why);
    sd_bus_message_unref(msg);
    sd_bus_message_unref(reply);
    return done;
}

static int call_start(struct manager *m, const struct unit_job *job, struct err *e)
{
    int r = start_once(m, job, e);
    if (r == 0) { /* perhaps a failed one that is left over */
        reset_failed(m, job->unit);
        r = start_once(m, job, e);
    }
    if (r == 0)
        return err_set(e, ERR_CONFLICT,
                       "unable to start unit \"%s\": Unit %s was already loaded or has a fragment "
                       "file.",
                       job->unit, job->unit);
    TRY(r);
    if (wait_for_job(m, job->unit, e) == 0 && strcmp(m->result, "done") == 0)
        return 0;
    reset_failed(m, job->unit);
    return m->result[0] == '\0'
               ? -1
               : err_set(e, ERR_INTERNAL, "error creating systemd unit `%s`: got `%s`", job->unit,
                         m->result);
}

static int call_set(struct manager *m, const struct unit_job *job, struct err *e)
{
    sd_bus_message *msg = NULL;
    sd_bus_error why = SD_BUS_ERROR_NULL;
    int rc = -1;
    int r = sd_bus_message_new_method_call(m->bus, &msg, NAME, PATH, MANAGER, "SetUnitProperties");
    if (r >= 0)
        r = sd_bus_message_append(msg, "sb", job->unit, 1 /* until the next boot */);
    if (r < 0)
        err_neg(e, r, "SetUnitProperties");
    else if (append_properties(m, msg, job, e) == 0) {
        r = sd_bus_call(m->bus, msg, 0, &why, NULL);
        rc = r >= 0 ? 0
                    : err_set(e, ERR_INTERNAL, "unable to set unit properties: %s",
                              why.message != NULL ? why.message : strerrordesc_np(-r));
    }
    sd_bus_error_free(&why);
    sd_bus_message_unref(msg);
    return rc;
}

/* A unit that is gone already is fine. */
static int call_stop(struct manager *m, const struct unit_job *job, struct err *e)
{
    sd_bus_message *reply = NULL;
    const char *path = NULL;
    int rc = 0;
    int r = sd_bus_call_method(m->bus, NAME, PATH, MANAGER, "StopUnit", NULL, &reply, "ss",
                               job->unit, "replace");
    if (r >= 0 && sd_bus_message_read(reply, "o", &path) >= 0) {
        m->job = mem_strdup(path);
        rc = wait_for_job(m, job->unit, e);
    }
    sd_bus_message_unref(reply);
    reset_failed(m, job->unit);
    return rc;
}

static int run(struct arena *a, struct err *e)
{
    static const struct {
        const char *name;
        int (*call)(struct manager *m, const struct unit_job *job, struct err *e);
    } calls[] = {{"start", call_start}, {"set", call_set}, {"stop", call_stop}};
    CLEANUP(buf_done) struct buf doc = BUF_MAX(JOB_BYTES_MAX);
    CLEANUP(manager_close) struct manager m = {0};
    struct unit_job job;
    TRY(job_read(&doc, e));
    TRY(json_parse(&unit_job_json, &job, buf_cstr(&doc), doc.n, a, e));
    bool given = job.manager != NULL && job.manager[0] != '\0';
    TRY(manager_open(&m, given ? job.manager : "/run", e));
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        if (strcmp(job.call, calls[i].name) == 0) {
            TRY(calls[i].call(&m, &job, e));
            return job_reply("{}", 2, e);
        }
    return err_set(e, ERR_INVALID, "unknown call %s", job.call);
}

int main(void)
{
    auto_arena struct arena *a = arena_new();
    struct err e = {0};
    if (run(a, &e) == 0)
        return 0;
    job_fail(&e);
    return 1;
}
