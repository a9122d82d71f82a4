/** A folder for the log of one container. */
#ifndef HULL_TESTS_LOG_FIXTURE_H
#define HULL_TESTS_LOG_FIXTURE_H

extern char log_path[64];    /* in the folder */
extern char attach_path[64]; /* likewise */

/** For cmocka: of a group, and of a test that wants the folder empty. */
int log_dir_make(void **state);
int log_dir_remove(void **state);
int log_dir_clean(void **state);

/** What the file log_path with a suffix holds; the caller frees it. */
char *log_content(const char *suffix);

#endif
