#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace tidegate::uplink {

/// `text` with each {name} replaced by what `values` has for it. Error `invalid` names a placeholder that is not known,
/// and those that are.
Result<std::string> fill_placeholders(std::string_view text,
                                      std::initializer_list<std::pair<std::string_view, std::string_view>> values);

}  // namespace tidegate::uplink
