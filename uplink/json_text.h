#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/record.h"
#include "core/time.h"

namespace tidegate::uplink {

/// The text member `name` of a JSON object, unescaped; nothing when there is none or `document` is no JSON object.
std::optional<std::string> find_text_member(std::string_view document, std::string_view name);

/// The same again and again: it keeps what the search needs.
class TextMemberFinder {
 public:
  TextMemberFinder();
  ~TextMemberFinder();
  /// Valid until the next call.
  std::optional<std::string_view> find(std::string_view document, std::string_view name);

 private:
  struct Workspace;
  std::unique_ptr<Workspace> workspace_;
};

/// Whether a JSON object has a member of that name, whatever it is.
bool has_member(std::string_view document, std::string_view name);

/// Error `give_up_item`: the payload of a batch of that stream is none, and why.
tl::unexpected<Error> no_batch(Stream stream, std::string_view why);

/// Calls `visit` with the text of each entry of a batch payload, as it stands there, byte by byte, and returns when the
/// batch was sent; the texts are gone when it returns. Error `give_up_item` when the payload is not a batch of this
/// stream.
Result<WallTime> for_each_entry(std::string_view payload, Stream stream,
                                const std::function<void(std::string_view entry)>& visit);

}  // namespace tidegate::uplink
