/**
 * What the runtime asks of hull-systemd: one call of systemd's manager, as the document of a job
 * (sys/job.h). hull-systemd is a program of its own because hull-runc and the shim are static and
 * cannot load a library; it is only started when a container is to be a systemd unit.
 */
#ifndef HULL_RUNTIME_UNIT_JOB_H
#define HULL_RUNTIME_UNIT_JOB_H

#include "base/json.h"

/* type: a D-Bus type that is basic, an array of a basic type, or "a(ss)" (values in pairs). since:
 * the property is left out for an older systemd. */
#define UNIT_PROPERTY(T, F)                  \
    F(T, str, name, "name", 0)               \
    F(T, str, type, "type", 0)               \
    F(T, strv, values, "values", JSON_EMPTY) \
    F(T, u64, since, "since", JSON_OMITEMPTY)
JSON_TYPE(unit_property, UNIT_PROPERTY)

/* call: "start" (a transient unit; waits until it is there), "set" (properties of one), "stop"
 * (waits until it is gone; a failed one is forgotten). manager: the folder with the sockets of the
 * manager that is meant; "" is the machine's, "/run". */
#define UNIT_JOB(T, F)               \
    F(T, str, call, "call", 0)       \
    F(T, str, manager, "manager", 0) \
    F(T, str, unit, "unit", 0)       \
    F(T, list, properties, "properties", JSON_EMPTY, unit_property)
JSON_TYPE(unit_job, UNIT_JOB)

#endif
