#pragma once

#include <string>
#include <vector>

#include "core/error.h"
#include "daemon/config/document.h"

namespace tidegate::daemon {

/// The whole content of a regular file of at most `bytes_max` bytes, or in words why not.
Result<std::string> read_small_file(const std::string& path, std::size_t bytes_max);

/// `path`, and where it is relative, beside the configuration file that `place` is in.
std::string beside(const Place& place, const std::string& path);

/// Files that match the pattern, sorted. A pattern without wildcards has to match; one with them need not.
Result<std::vector<std::string>> matching_files(const std::string& pattern);

/// The text behind { file = ".." }, { credential = ".." } or { env = ".." }, without one trailing newline.
Result<std::string> resolve_secret(const Node& node);

/// Where that text stands, in words: "/etc/tidegate/users", "credential users"; empty when it is none of them.
std::string secret_source(const Node& node);

/// Why this process could make no file in a directory, in words; empty where it could.
std::string directory_trouble(const std::string& path);

/// The path behind "path", { file = ".." } or { credential = ".." }; the file is readable.
Result<std::string> resolve_secret_file(const Node& node);

/// The path of a readable regular file, beside the configuration file where it is relative.
Result<std::string> resolve_file(const Place& place, const std::string& path);

}  // namespace tidegate::daemon
