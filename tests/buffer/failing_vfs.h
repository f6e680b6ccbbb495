#pragma once

#include <sqlite3.h>

#include <stdexcept>

namespace tidegate::buffer {

/// While it lives, the next `opens` databases that SQLite opens cannot be read, as on a disk that has lost sectors.
class FailingVfs {
 public:
  explicit FailingVfs(int opens) : base_(sqlite3_vfs_find(nullptr)), vfs_(*base_) {
    if (one_ != nullptr) throw std::logic_error("one at a time");
    one_ = this;
    opens_ = opens;
    vfs_.zName = "failing";
    vfs_.xOpen = open;
    sqlite3_vfs_register(&vfs_, 1);
  }
  FailingVfs(const FailingVfs&) = delete;
  FailingVfs& operator=(const FailingVfs&) = delete;
  ~FailingVfs() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(base_, 1);
    one_ = nullptr;
  }

 private:
  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
    const int result = one_->base_->xOpen(one_->base_, name, file, flags, out);
    if (result != SQLITE_OK || (flags & SQLITE_OPEN_MAIN_DB) == 0 || one_->opens_ == 0) return result;
    --one_->opens_;
    one_->methods_ = *file->pMethods;
    one_->methods_.xRead = [](sqlite3_file*, void*, int, sqlite3_int64) { return SQLITE_IOERR_READ; };
    file->pMethods = &one_->methods_;
    return result;
  }
  static inline FailingVfs* one_ = nullptr;
  sqlite3_vfs* base_;
  sqlite3_vfs vfs_;
  sqlite3_io_methods methods_{};
  int opens_ = 0;
};

}  // namespace tidegate::buffer
