#pragma once

#include <string>

#include "core/tag.h"
#include "core/value.h"
#include "rules/options.h"

namespace tidegate::rules {

/// The rule's message with {rule} {tag} {value} {unit} {severity} filled in; other braces stay. Without a unit the
/// blank in front of {unit} goes too. Doubles are rounded to seven digits (what a float32 holds) below ten million.
std::string fill_message(const RuleOptions& rule, const Tag& tag, const Value& value);

}  // namespace tidegate::rules
