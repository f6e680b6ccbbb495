#include "buffer/quarantine.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace tidegate::buffer {
namespace {

constexpr std::size_t kCopyBytes = 64 * 1024;

bool copy_range(const File& from, std::uint64_t begin, std::uint64_t end, File& to) {
  std::vector<std::byte> piece(kCopyBytes);
  for (std::uint64_t at = begin; at < end;) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), end - at));
    const auto count = from.read_at(at, std::span(piece).first(wanted));
    if (!count || *count == 0) return false;
    if (!to.write_at(at - begin, std::span(piece).first(*count))) return false;
    at += *count;
  }
  return true;
}

}  // namespace

Copied Quarantine::copy(const SegmentIdentity& segment, const File& content, std::uint64_t from, std::uint64_t to) {
  const std::string directory = directory_ + "/quarantine";
  to = std::min(to, from + kQuarantineBytesMax);
  if (to <= from || !files_.make_directory(directory)) return Copied::failed;
  // The number comes first, so that names sort by age.
  const std::string name = fmt::format("{:020}-{}-{:010}.damaged", segment.number, to_string(segment.stream), from);
  const auto present = files_.list(directory);
  if (!present) return Copied::failed;
  if (std::find(present->begin(), present->end(), name) != present->end()) return Copied::before;
  make_room(to - from);
  const auto copy = files_.open(directory + "/" + name, OpenMode::create);
  if (copy && copy_range(content, from, to, **copy)) return Copied::now;
  if (copy) (void)files_.remove(directory + "/" + name);  // a part would pass for all of it the next time
  return Copied::failed;
}

void Quarantine::make_room(std::uint64_t bytes) {
  const std::string directory = directory_ + "/quarantine/";
  auto names = files_.list(directory_ + "/quarantine");
  if (!names) return;
  std::sort(names->begin(), names->end());
  std::uint64_t total = bytes;
  std::vector<std::uint64_t> sizes;
  for (const std::string& name : *names) {
    const auto file = files_.open(directory + name, OpenMode::read);
    sizes.push_back(file ? (*file)->size().value_or(0) : 0);
    total += sizes.back();
  }
  for (std::size_t i = 0; i < sizes.size() && total > kQuarantineBytesMax; ++i) {
    if (files_.remove(directory + (*names)[i])) total -= sizes[i];
  }
}

Result<std::string> Quarantine::put_aside(const std::string& path, Stream stream) {
  const std::string directory = directory_ + "/foreign";
  if (auto made = files_.make_directory(directory); !made) return tl::unexpected(made.error());
  const auto present = files_.list(directory);
  if (!present) return tl::unexpected(present.error());
  const std::string name = path.substr(path.rfind('/') + 1);
  for (unsigned copy = 0;; ++copy) {
    const std::string wanted =
        fmt::format("{}-{}{}", to_string(stream), name, copy == 0 ? "" : fmt::format(".{}", copy));
    if (std::find(present->begin(), present->end(), wanted) != present->end()) continue;
    const std::string to = directory + "/" + wanted;
    if (auto moved = files_.rename(path, to); !moved) return tl::unexpected(moved.error());
    return to;
  }
}

}  // namespace tidegate::buffer
