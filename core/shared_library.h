#pragma once

#include <string>

#include "core/error.h"

namespace tidegate {

/// A library of the system that is loaded when a configuration asks for it, by its SONAME: what is linked costs its
/// memory in every process, used or not. Once loaded it stays for the life of the process: libraries leave threads and
/// handlers behind that unloading would pull the ground from under.
class SharedLibrary {
 public:
  /// `soname` such as "libcurl.so.4"; `package` is what to install, for the message when it is not there.
  static Result<SharedLibrary> load(const std::string& soname, const std::string& package);

  /// Looks a function up and sets `function`, a pointer of the type that the library's header declares.
  template <class Function>
  Result<void> find(const char* name, Function*& function) const {
    const auto found = look_up(name);
    if (!found) return tl::unexpected(found.error());
    function = reinterpret_cast<Function*>(*found);  // POSIX: what dlsym gives is callable through it
    return {};
  }

 private:
  SharedLibrary(void* handle, std::string soname) : handle_(handle), soname_(std::move(soname)) {}
  Result<void*> look_up(const char* name) const;

  void* handle_;
  std::string soname_;
};

}  // namespace tidegate
