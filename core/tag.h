#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/value.h"

namespace tidegate {

/// A tag's number in this process; not stable over restarts and never written to disk.
enum class TagId : std::uint32_t {};
inline constexpr TagId kNoTag{0xffffffffU};

/// A named measured thing.
struct Tag {
  std::string path;  // "device/tag"
  std::string driver;
  ValueType type = ValueType::automatic;
  std::string unit;
  std::optional<double> deadband;  // in the unit; readings that moved less than this are not kept
};

/// All tags of the process: path to id and back. One tag has one driver. Any thread; tag() takes no lock.
/// Tags are never removed, and a Tag never changes once a driver has claimed it, so a reference from tag() stays valid.
/// Where another driver follows, or one with other settings, the id is of another Tag from there on; what was is kept,
/// and used again when it is wanted again.
class TagRegistry {
 public:
  TagRegistry();
  ~TagRegistry();

  /// The id of the path, made if it is new. Error `invalid` when another driver owns the tag or the path is not valid
  /// (see check_tag_path); `full` when kTagsMax exist.
  Result<TagId> claim(const Tag& tag);

  /// The tags of the driver may be claimed anew, by it or by another, with another type, unit and dead band. They stay
  /// what they are until then.
  void disown(std::string_view driver);

  /// The id of a path that a log or a database names; makes one without a driver, which the first claim then owns.
  /// kNoTag when kTagsMax exist.
  TagId intern(std::string_view path);

  std::optional<TagId> find(std::string_view path) const;
  const Tag& tag(TagId id) const;
  std::size_t size() const;

  static constexpr std::size_t kTagsMax = std::size_t{1} << 20;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// A path is 1 to 255 bytes of valid UTF-8 without control characters, '+', '#', '*' or '?', in non-empty parts
/// separated by '/'.
Result<void> check_tag_path(std::string_view path);

}  // namespace tidegate
