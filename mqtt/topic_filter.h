#pragma once

#include <string_view>

namespace tidegate::mqtt {

/// A name to publish to: not empty, no wildcard (section 4.7.1). UTF-8 was checked when it was read.
bool is_topic_name(std::string_view topic);
/// A filter to subscribe to: `+` fills a level, `#` is the last one; "$share/GROUP/FILTER" too.
bool is_topic_filter(std::string_view filter);
/// Of a filter: that it is a shared subscription (MQTT 5, section 4.8.2).
bool is_shared(std::string_view filter);
/// What stands behind "$share/GROUP/"; all of a filter that is not shared.
std::string_view without_share(std::string_view filter);
/// Section 4.7: a filter that begins with a wildcard does not match topics that begin with `$`.
bool filter_matches(std::string_view filter, std::string_view topic);
/// Whether `wide` matches every topic that `narrow` matches.
bool filter_covers(std::string_view wide, std::string_view narrow);
/// Whether a topic can be that both match.
bool filters_meet(std::string_view one, std::string_view other);

}  // namespace tidegate::mqtt
