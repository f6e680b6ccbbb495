#include "core/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace tidegate {
namespace {

Error failed_with(int error_number) {
  errno = error_number;
  return fail_errno("write a").value();
}

TEST(FailErrno, SaysWhatTheCallerDoesNext) {
  for (const int no_room : {ENOSPC, EDQUOT, EFBIG}) EXPECT_EQ(failed_with(no_room).code, ErrorCode::full) << no_room;
  for (const int given_back : {EIO, EACCES, EPERM, EROFS, EMFILE}) {
    EXPECT_EQ(failed_with(given_back).code, ErrorCode::retry) << given_back;
  }
  for (const int never : {EEXIST, ELOOP, ENOTDIR, EISDIR, ENAMETOOLONG}) {
    EXPECT_EQ(failed_with(never).code, ErrorCode::invalid) << never;
  }
  EXPECT_EQ(failed_with(ENOENT).code, ErrorCode::not_found);
}

TEST(FailErrno, NamesTheActionAndTheReason) {
  EXPECT_EQ(failed_with(ENOSPC).message, "write a: No space left on device");
}

}  // namespace
}  // namespace tidegate
