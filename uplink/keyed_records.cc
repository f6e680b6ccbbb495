#include "uplink/keyed_records.h"

#include <utility>

#include "uplink/json_text.h"
#include "uplink/placeholders.h"

namespace tidegate::uplink {

KeyedRecords::KeyedRecords(std::string gateway, std::string key_template)
    : gateway_(std::move(gateway)), key_template_(std::move(key_template)), renderer_(gateway_) {}

Result<void> KeyedRecords::for_each(const OutgoingBatch& batch,
                                    const std::function<void(const std::string& key, std::string_view record)>& visit) {
  if (const auto sent = renderer_.append(lines_.begin(), batch); !sent) return tl::unexpected(sent.error());
  const bool has_tag = key_template_.find("{tag}") != std::string::npos;
  for (std::string_view rest = lines_.text(); !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view record = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    const auto tag = has_tag ? find_text_member(record, "tag") : std::nullopt;
    const std::string& name = tag && !tag->empty() ? *tag : gateway_;
    const auto key = fill_placeholders(key_template_, {{"tag", name}, {"gateway", gateway_}});
    if (!key) return tl::unexpected(key.error());
    visit(*key, record);
  }
  return {};
}

}  // namespace tidegate::uplink
