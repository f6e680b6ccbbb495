#include "daemon/config/files.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

#include "core/descriptor.h"
#include "core/text.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kSecretBytesMax = 64 * 1024;

std::string reason(int error_number) { return std::generic_category().message(error_number); }

Result<std::string> read_all(int fd, const std::string& path, std::size_t bytes_max) {
  std::string content;
  std::string chunk(64 * 1024, '\0');
  while (true) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(ErrorCode::invalid, "cannot read " + clip(path, 200) + ": " + reason(errno));
    if (got == 0) return content;
    content.append(chunk, 0, static_cast<std::size_t>(got));
    if (content.size() > bytes_max) {
      return fail(ErrorCode::invalid, clip(path, 200) + " is larger than " + format_size(bytes_max));
    }
  }
}

Result<std::string> non_empty_secret(std::string text, const std::string& where) {
  if (!text.empty() && text.back() == '\n') text.pop_back();
  if (!text.empty() && text.back() == '\r') text.pop_back();
  if (text.empty()) return fail(ErrorCode::invalid, "the secret in " + where + " is empty");
  // Some libraries take it for the end, and others do not.
  if (const std::size_t zero = text.find('\0'); zero != std::string::npos) {
    return fail(ErrorCode::invalid, "the secret in " + where + " has a zero byte, its byte " +
                                        std::to_string(zero + 1) + ": it is to be a text, in UTF-8 or ASCII");
  }
  return text;
}

Result<std::string> read_secret_file(const std::string& path) {
  auto content = read_small_file(path, kSecretBytesMax);
  if (!content) return content;
  return non_empty_secret(std::move(*content), clip(path, 200));
}

Result<std::string> read_secret_variable(const std::string& name) {
  const char* text = std::getenv(name.c_str());
  if (text == nullptr) {
    return fail(ErrorCode::invalid, "the environment variable " + clip(name) + " is not set");
  }
  return non_empty_secret(text, "the environment variable " + clip(name));
}

Result<std::string> credential_path(const std::string& name) {
  if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..") {
    return fail(ErrorCode::invalid, "\"" + clip(name) + "\" is not the name of a systemd credential");
  }
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || *directory == '\0') {
    return fail(ErrorCode::invalid, "CREDENTIALS_DIRECTORY is not set: the credential \"" + clip(name) +
                                        "\" is there only in a service with LoadCredential=" + clip(name) + ":PATH");
  }
  return std::string(directory) + "/" + name;
}

// The only member of { KIND = "TEXT" }, if it is one of these kinds.
const Member* reference(const Node& node, std::initializer_list<std::string_view> kinds) {
  if (node.kind != Node::Kind::table || node.members.size() != 1) return nullptr;
  const Member& only = node.members.front();
  if (only.node.kind != Node::Kind::text || only.node.text.find('\0') != std::string::npos) return nullptr;
  for (const std::string_view kind : kinds) {
    if (only.name == kind) return &only;
  }
  return nullptr;
}

}  // namespace

Result<std::string> read_small_file(const std::string& path, std::size_t bytes_max) {
  // Non-blocking, so that a FIFO without a writer cannot hold us up.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file.is_open()) return fail(ErrorCode::invalid, "cannot open " + clip(path, 200) + ": " + reason(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    return fail(ErrorCode::invalid, "cannot read " + clip(path, 200) + ": " + reason(errno));
  }
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::invalid, clip(path, 200) + " is not a regular file");
  return read_all(file.get(), path, bytes_max);
}

std::string beside(const Place& place, const std::string& path) {
  if (path.empty() || path.front() == '/' || !place.file) return path;
  const std::size_t slash = place.file->rfind('/');
  return slash == std::string::npos ? path : place.file->substr(0, slash + 1) + path;
}

Result<std::vector<std::string>> matching_files(const std::string& pattern) {
  glob_t found{};
  const auto stop_unless_absent = [](const char*, int error_number) {
    return error_number == ENOENT || error_number == ENOTDIR ? 0 : 1;
  };
  const int status = ::glob(pattern.c_str(), 0, stop_unless_absent, &found);
  std::vector<std::string> paths;
  for (std::size_t i = 0; status == 0 && i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
  ::globfree(&found);
  const bool has_wildcards = pattern.find_first_of("*?[") != std::string::npos;
  if (status == 0 || (status == GLOB_NOMATCH && has_wildcards)) return paths;
  if (status == GLOB_NOMATCH) return fail(ErrorCode::invalid, "there is no file " + clip(pattern, 200));
  return fail(ErrorCode::invalid, "cannot list the files of " + clip(pattern, 200));
}

std::string directory_trouble(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return errno == ENOENT ? "is not there" : "cannot be looked at: " + reason(errno);
  }
  if (!S_ISDIR(status.st_mode)) return "is no directory";
  if (::faccessat(AT_FDCWD, path.c_str(), W_OK | X_OK, AT_EACCESS) == 0) return "";
  return "cannot be written to by user " + std::to_string(::geteuid()) + ": " + reason(errno);
}

Result<std::string> resolve_file(const Place& place, const std::string& path) {
  std::string resolved = beside(place, path);
  const auto content = read_small_file(resolved, std::size_t{16} << 20);
  if (!content) return tl::unexpected(content.error());
  return resolved;
}

Result<std::string> resolve_secret(const Node& node) {
  if (node.kind != Node::Kind::table) {
    return fail(ErrorCode::invalid,
                "is a secret and must not be written here; use { file = \"...\" }, { credential = \"...\" } or "
                "{ env = \"...\" }");
  }
  const Member* member = reference(node, {"file", "credential", "env"});
  if (member == nullptr) {
    return fail(ErrorCode::invalid,
                "must be { file = \"...\" }, { credential = \"...\" } or { env = \"...\" }, found " + describe(node));
  }
  if (member->name == "env") return read_secret_variable(member->node.text);
  if (member->name == "file") return read_secret_file(beside(node.place, member->node.text));
  return credential_path(member->node.text).and_then(read_secret_file);
}

std::string secret_source(const Node& node) {
  const Member* member = reference(node, {"file", "credential", "env"});
  if (member == nullptr) return "";
  if (member->name == "file") return clip(beside(node.place, member->node.text), 200);
  return (member->name == "env" ? "environment variable " : "credential ") + clip(member->node.text);
}

Result<std::string> resolve_secret_file(const Node& node) {
  if (node.kind == Node::Kind::text && node.text.rfind("-----BEGIN", 0) != 0) {
    return resolve_file(node.place, node.text);
  }
  if (node.kind == Node::Kind::text) {
    return fail(ErrorCode::invalid, "is a secret and must not be written here; use the path of its file");
  }
  const Member* member = reference(node, {"file", "credential"});
  if (member == nullptr) {
    return fail(ErrorCode::invalid,
                "must be a path, { file = \"...\" } or { credential = \"...\" }, found " + describe(node));
  }
  if (member->name == "file") return resolve_file(node.place, member->node.text);
  return credential_path(member->node.text).and_then([&](const std::string& path) {
    return resolve_file(node.place, path);
  });
}

}  // namespace tidegate::daemon
