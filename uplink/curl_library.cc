#include "uplink/curl_library.h"

#include <string>

#include "core/shared_library.h"
#include "mqtt/tls_floor.h"

namespace tidegate::uplink {
namespace {

// The error names the first function that is missing.
Result<void> find_all(const SharedLibrary& library, CurlLibrary& curl) {
  Result<void> found;
  const auto find = [&](const char* name, auto& function) {
    if (found) found = library.find(name, function);
  };
  find("curl_global_init", curl.global_init);
  find("curl_easy_init", curl.easy_init);
  find("curl_easy_reset", curl.easy_reset);
  find("curl_easy_setopt", curl.easy_setopt);
  find("curl_easy_getinfo", curl.easy_getinfo);
  find("curl_easy_strerror", curl.easy_strerror);
  find("curl_easy_cleanup", curl.easy_cleanup);
  find("curl_slist_append", curl.slist_append);
  find("curl_slist_free_all", curl.slist_free_all);
  find("curl_multi_init", curl.multi_init);
  find("curl_multi_setopt", curl.multi_setopt);
  find("curl_multi_add_handle", curl.multi_add_handle);
  find("curl_multi_remove_handle", curl.multi_remove_handle);
  find("curl_multi_perform", curl.multi_perform);
  find("curl_multi_poll", curl.multi_poll);
  find("curl_multi_wakeup", curl.multi_wakeup);
  find("curl_multi_info_read", curl.multi_info_read);
  find("curl_multi_cleanup", curl.multi_cleanup);
  return found;
}

Result<CurlLibrary> load() {
  mqtt::raise_tls_floor();
  const auto library = SharedLibrary::load("libcurl.so.4", "libcurl4");
  if (!library) return tl::unexpected(library.error());
  CurlLibrary curl;
  if (const auto found = find_all(*library, curl); !found) return tl::unexpected(found.error());
  if (const CURLcode code = curl.global_init(CURL_GLOBAL_ALL); code != CURLE_OK) {
    return fail(ErrorCode::invalid, std::string("libcurl cannot be initialised: ") + curl.easy_strerror(code));
  }
  return curl;
}

}  // namespace

Result<const CurlLibrary*> CurlLibrary::get() {
  static const Result<CurlLibrary> kLoaded = load();
  if (!kLoaded) return tl::unexpected(kLoaded.error());
  return &*kLoaded;
}

}  // namespace tidegate::uplink
