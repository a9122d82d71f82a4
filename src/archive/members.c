/*
 * Archives of images, whose members the parent reads and writes: see unpack_job.h. This side only
 * parses tar; where bytes go or come from is asked of the parent, member by member.
 */
#include "archive/members.h"

#include <fcntl.h>

#include "archive/tar_in.h"
#include "base/mem.h"
#include "sys/fd.h"
#include "sys/job.h"

enum { MAX_MEMBERS = 100000 };

static int ask(const struct archive_member *m, int *out_fd, struct err *e)
{
    struct buf b = BUF_MAX(JOB_MESSAGE_MAX);
    json_write(&archive_member_json, m, &b);
    int r = b.over ? err_set(e, ERR_INVALID, "invalid tar: a member's name is too long")
                   : job_ask(b.p, b.n, NULL, out_fd, e);
    buf_done(&b);
    return r;
}

static int read_one(struct tar_in *t, struct archive_entry *ent, struct err *e)
{
    char path[4097];
    auto_fd int fd = -1;
    TRY(tar_clean_path(archive_entry_pathname(ent), path, e));
    struct archive_member m = {
        .name = path, .type = "file", .size = archive_entry_size(ent), .target = ""};
    const char *target = archive_entry_hardlink(ent);
    if (target == NULL && archive_entry_filetype(ent) == AE_IFLNK)
        target = archive_entry_symlink(ent);
    if (target != NULL) {
        m.type = archive_entry_hardlink(ent) != NULL ? "hardlink" : "link";
        m.target = target;
        m.size = 0;
    } else if (archive_entry_filetype(ent) != AE_IFREG) {
        return 0;
    }
    if (m.size < 0)
        return err_set(e, ERR_INVALID, "invalid tar: size of \"%.500s\"", path);
    TRY(ask(&m, &fd, e));
    return fd >= 0 && target == NULL ? tar_in_data_to(t, fd, m.size, e) : 0;
}

int members_read(int input_fd, const struct unpack_job *job, struct unpack_result *out,
                 struct err *e)
{
    auto_tar_in struct tar_in t = {0};
    const struct inflate_opts io = {.fd = input_fd, .max_bytes = job->max_bytes};
    struct archive_entry *ent;
    int more;
    TRY(tar_in_open(&t, &io, job->max_entries > 0 ? job->max_entries : MAX_MEMBERS, e));
    while ((more = tar_in_next(&t, &ent, e)) > 0)
        TRY(read_one(&t, ent, e));
    out->entries = t.entries;
    return more;
}

static int write_one(struct tar_out *t, const struct archive_member *m, struct err *e)
{
    auto_fd int fd = -1;
    if (m->name == NULL || m->type == NULL)
        return err_set(e, ERR_INVALID, "a member without name or type");
    bool is_dir = strcmp(m->type, "dir") == 0, is_link = strcmp(m->type, "link") == 0;
    auto_free char *dir_name = mem_printf("%s/", m->name);
    struct archive_entry *ent = archive_entry_new();
    archive_entry_set_pathname(ent, is_dir ? dir_name : m->name);
    archive_entry_set_filetype(ent, is_dir ? AE_IFDIR : is_link ? AE_IFLNK : AE_IFREG);
    archive_entry_set_perm(ent, (mode_t)(m->mode & 07777));
    archive_entry_set_size(ent, is_dir || is_link ? 0 : m->size);
    archive_entry_set_mtime(ent, 0, 0);
    if (is_link)
        archive_entry_set_symlink(ent, m->target != NULL ? m->target : "");
    int r = is_dir || is_link ? 0 : ask(m, &fd, e);
    if (r == 0 && !is_dir && !is_link && fd < 0)
        r = err_set(e, ERR_INTERNAL, "no data for %s", m->name);
    if (r == 0)
        r = tar_out_header(t, ent, e);
    archive_entry_free(ent);
    return r == 0 && fd >= 0 ? tar_out_file(t, fd, m->size, e) : r;
}

int members_write(struct tar_out *t, const struct unpack_job *job, struct err *e)
{
    for (size_t i = 0; i < job->members.n; i++)
        TRY(write_one(t, &job->members.v[i], e));
    return 0;
}
