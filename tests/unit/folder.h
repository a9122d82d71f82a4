/** A test's own folder: filled by scripts, counted afterwards. */
#ifndef HULL_TESTS_FOLDER_H
#define HULL_TESTS_FOLDER_H

#include <stddef.h>

/** Run a script in the folder dir, for at most a minute; the test fails with it. */
void sh(const char *dir, const char *script);

/** How many entries dir/sub has, hidden ones left out; the test fails when it is not there. */
size_t entries(const char *dir, const char *sub);

#endif
