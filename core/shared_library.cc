#include "core/shared_library.h"

#include <dlfcn.h>

namespace tidegate {
namespace {

std::string last_problem() {
  const char* problem = ::dlerror();
  return problem == nullptr ? "not found" : problem;
}

}  // namespace

// RTLD_NOW: a library that does not fit is found out at the start, not at the first batch.
Result<SharedLibrary> SharedLibrary::load(const std::string& soname, const std::string& package) {
  void* handle = ::dlopen(soname.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return fail(ErrorCode::not_found,
                "cannot load " + soname + " (" + last_problem() + "): is the package " + package + " installed?");
  }
  return SharedLibrary(handle, soname);
}

Result<void*> SharedLibrary::look_up(const char* name) const {
  ::dlerror();
  void* found = ::dlsym(handle_, name);
  if (found == nullptr) {
    return fail(ErrorCode::invalid, soname_ + " has no " + name + " (" + last_problem() + "): it is too old");
  }
  return found;
}

}  // namespace tidegate
