// The only file that knows simdjson: what this folder wrote as JSON, read back. The text comes from a disk, so nothing
// in it is believed; the DOM interface is used because it validates the whole text.
#include <simdjson.h>

#include <array>
#include <limits>
#include <utility>

#include "core/tag.h"
#include "core/text.h"
#include "rules/alarm.h"
#include "rules/saved_state.h"

namespace tidegate::rules {
namespace {

namespace dom = simdjson::dom;

/// The members of one JSON object, by key. The first thing that is not as it should be goes into `problem`, which all
/// readers of one text share; from then on getters return empty values.
class Members {
 public:
  Members(const simdjson::simdjson_result<dom::element>& element, std::string name, std::string& problem)
      : name_(std::move(name)), problem_(problem) {
    is_object_ = element.get_object().get(object_) == simdjson::SUCCESS;
    if (!is_object_) complain("is missing, or not an object");
  }
  Members(dom::element element, std::string name, std::string& problem)
      : Members(simdjson::simdjson_result<dom::element>(std::move(element)), std::move(name), problem) {}

  std::string text(const char* key) {
    std::string_view text;
    get(key, text, "a string");
    return std::string(text);
  }
  std::uint64_t natural(const char* key, std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
    std::uint64_t number = 0;
    if (get(key, number, "a whole number") && number > most) complain(std::string(key) + " is too large");
    return number;
  }
  std::int64_t integer(const char* key) {
    std::int64_t number = 0;
    get(key, number, "an integer of 64 bits");
    return number;
  }
  /// Since 1970; as nanoseconds they have 64 bits.
  std::int64_t milliseconds(const char* key) {
    constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max() / 1'000'000 - 1;
    const std::int64_t number = integer(key);
    if (number <= kMax && number >= -kMax) return number;
    complain(std::string(key) + " is beyond 64 bits of nanoseconds");
    return 0;
  }
  bool flag(const char* key) {
    bool flag = false;
    get(key, flag, "true or false");
    return flag;
  }
  double real(const char* key) {
    double number = 0;
    get(key, number, "a number");
    return number;
  }
  Position position(const char* key) {
    Members members = inner(key);
    Position position;
    position.epoch = static_cast<std::uint32_t>(members.natural("epoch", std::numeric_limits<std::uint32_t>::max()));
    position.sequence = members.natural("seq");
    return position;
  }
  Value value(const char* key);
  Members inner(const char* key) const { return {member(key), name_ + "." + key, problem_}; }
  bool has(const char* key) const { return member(key).error() == simdjson::SUCCESS; }
  /// Calls `read` with each element of an array, until something is not as it should be.
  template <class Read>
  void each(const char* key, const Read& read) {
    dom::array array;
    if (!get(key, array, "an array")) return;
    for (const dom::element element : array) {
      if (!sound()) return;
      read(Members(element, name_ + "." + key, problem_));
    }
  }

  bool sound() const { return problem_.empty(); }
  void complain(const std::string& what) {
    if (problem_.empty()) problem_ = name_ + " " + what;
  }

 private:
  // An object that was never found has no tape to look at.
  simdjson::simdjson_result<dom::element> member(const char* key) const {
    if (!is_object_) return simdjson::NO_SUCH_FIELD;
    return object_.at_key(key);
  }
  template <class T>
  bool get(const char* key, T& into, const char* expected) {
    if (member(key).get(into) == simdjson::SUCCESS) return true;
    complain(std::string("needs ") + key + ", " + expected);
    return false;
  }

  dom::object object_;
  bool is_object_ = false;
  std::string name_;
  std::string& problem_;
};

Value Members::value(const char* key) {
  dom::element found;
  if (member(key).get(found) != simdjson::SUCCESS) {
    complain(std::string("has no ") + key);
    return {};
  }
  switch (found.type()) {
    case dom::element_type::NULL_VALUE:
      return {};
    case dom::element_type::BOOL:
      return found.get_bool().value_unsafe();
    case dom::element_type::INT64:
      return found.get_int64().value_unsafe();
    case dom::element_type::UINT64:
      return found.get_uint64().value_unsafe();
    case dom::element_type::DOUBLE:
      return found.get_double().value_unsafe();
    case dom::element_type::STRING:
      return std::string(found.get_string().value_unsafe());
    default:
      complain(std::string(key) + " is neither null nor a scalar");
      return {};
  }
}

template <class Enum, std::size_t N>
Enum parse_word(Members& members, const char* key, const std::array<Enum, N>& all) {
  const std::string word = members.text(key);
  for (const Enum candidate : all) {
    if (word == to_string(candidate)) return candidate;
  }
  members.complain(std::string(key) + " is \"" + clip(word) + "\", which is not known");
  return all.front();
}

WallTime parse_time(Members& members) {
  const std::int64_t milliseconds = members.milliseconds("time");
  if (!members.sound()) return {};
  const WallTime coarse{std::chrono::milliseconds(milliseconds)};
  if (!members.has("time_ns")) return coarse;
  const WallTime fine{Duration(members.integer("time_ns"))};
  if (fine < coarse || fine - coarse >= std::chrono::milliseconds(1)) members.complain("time and time_ns disagree");
  return fine;
}

void read_operator(Members& members, AlarmTransition& into) {
  into.is_raised = members.flag("raised");
  if (members.has("by")) into.by = members.text("by");
  if (members.has("note")) into.note = members.text("note");
  if (into.state == AlarmState::shelved) {
    into.until = WallTime{std::chrono::milliseconds(members.milliseconds("until"))};
  }
}

AlarmTransition read_alarm(Members members) {
  AlarmTransition transition;
  transition.alarm = members.text("alarm");
  transition.rule = members.text("rule");
  transition.tag = members.text("tag");
  transition.state = parse_word(members, "state",
                                std::array{AlarmState::raised, AlarmState::cleared, AlarmState::acknowledged,
                                           AlarmState::shelved, AlarmState::unshelved});
  transition.severity =
      parse_word(members, "severity", std::array{Severity::info, Severity::warning, Severity::critical});
  transition.message = members.text("message");
  transition.value = members.value("value");
  transition.time = parse_time(members);
  transition.cause = members.position("cause");
  transition.occurrence = members.position("occurrence");
  if (!is_of_rule(transition.state)) read_operator(members, transition);
  if (members.sound() && !check_tag_path(transition.tag)) members.complain("tag is not a valid path");
  if (transition.alarm != transition.rule + "/" + transition.tag) members.complain("is not the alarm of rule and tag");
  return transition;
}

PendingDelay read_pending(Members members) {
  PendingDelay pending;
  pending.first = members.position("first");
  pending.deadline = BootTime{Duration(members.integer("deadline"))};
  pending.last.position = members.position("last");
  pending.last.boot = BootTime{Duration(members.integer("boot"))};
  pending.last.time = WallTime{Duration(members.integer("time"))};
  pending.last.value = members.value("value");
  if (pending.last.boot < BootTime{} || pending.deadline < pending.last.boot) members.complain("ends before it began");
  return pending;
}

Ewma::State read_baseline(Members members) {
  Ewma::State state;
  state.count = static_cast<std::uint32_t>(members.natural("count", std::numeric_limits<std::uint32_t>::max()));
  state.mean = members.real("mean");
  state.variance = members.real("variance");
  if (!is_sound(state)) members.complain("is no mean and variance");
  return state;
}

SavedAlarm read_saved_alarm(Members members) {
  SavedAlarm alarm;
  alarm.tag = members.text("tag");
  if (members.sound() && !check_tag_path(alarm.tag)) members.complain("tag is not a valid path");
  alarm.last_transition = members.position("transition");
  if (members.has("raised")) {
    alarm.raised = read_alarm(members.inner("raised"));
    if (alarm.raised->state != AlarmState::raised) members.complain("raised is not a raise");
  }
  if (members.has("pending")) alarm.pending = read_pending(members.inner("pending"));
  if (members.has("baseline")) alarm.baseline = read_baseline(members.inner("baseline"));
  return alarm;
}

SavedState read_saved_state(dom::element root, std::string& problem) {
  Members members(root, "state", problem);
  SavedState state;
  state.position = members.position("position");
  state.boot = BootTime{Duration(members.integer("boot"))};
  if (members.has("boot_id")) {
    const auto id = parse_boot_id(members.text("boot_id"));
    if (!id) members.complain("boot_id is not 32 hexadecimal digits");
    state.boot_id = id.value_or(BootId{});
  }
  members.each("rules", [&](Members rule_members) {
    SavedRule& rule = state.rules.emplace_back();
    rule.rule = rule_members.text("rule");
    rule.fingerprint = rule_members.text("fingerprint");
    rule_members.each("alarms", [&](Members alarm) { rule.alarms.push_back(read_saved_alarm(std::move(alarm))); });
  });
  if (members.has("marks")) {
    members.each("marks", [&](Members mark) { state.marks.push_back(read_alarm(std::move(mark))); });
  }
  return state;
}

tl::unexpected<Error> corrupt(std::string_view what, std::string_view text, const std::string& why) {
  return fail(ErrorCode::corrupt, std::string(what) + ": " + why + " (found \"" + clip(text) + "\")");
}

}  // namespace

Result<AlarmTransition> parse_alarm_document(std::string_view document) {
  dom::parser parser;
  dom::element root;
  const simdjson::error_code error = parser.parse(document.data(), document.size()).get(root);
  if (error != simdjson::SUCCESS) return corrupt("alarm record", document, simdjson::error_message(error));
  std::string problem;
  AlarmTransition transition = read_alarm(Members(root, "it", problem));
  if (!problem.empty()) return corrupt("alarm record", document, problem);
  return transition;
}

Result<SavedState> decode_state(std::string_view text) {
  constexpr std::string_view kWhat = "saved state of the rules";
  const std::size_t head_size = state_head("").size();
  if (text.size() < head_size || text.substr(0, head_size) != state_head(text.substr(head_size))) {
    return corrupt(kWhat, text, "does not begin with version 1 and the checksum of what follows");
  }
  dom::parser parser;
  dom::element root;
  const simdjson::error_code error = parser.parse(text.data(), text.size()).get(root);
  if (error != simdjson::SUCCESS) return corrupt(kWhat, text, simdjson::error_message(error));
  std::string problem;
  SavedState state = read_saved_state(root, problem);
  if (!problem.empty()) return corrupt(kWhat, text, problem);
  return state;
}

}  // namespace tidegate::rules
