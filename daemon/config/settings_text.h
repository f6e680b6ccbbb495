#pragma once

#include <string>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/document.h"

namespace tidegate::daemon {

/// The sections of a document that was found right, in its order: [gateway], [buffer], and each driver, rule and
/// uplink. Holds no secret, only where it comes from and whether it is another one.
std::vector<SectionSettings> settings_of(const Node& document);

/// What differs between two sections of one kind, by what the values mean: "1s" is "1000ms", and a default that is
/// written out is no change. Null: there is none, and all stands at its default.
std::vector<KeyChange> compare_settings(const SectionSettings* before, const SectionSettings* after);

}  // namespace tidegate::daemon
