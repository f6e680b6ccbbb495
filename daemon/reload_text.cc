#include "daemon/reload_text.h"

#include <simdjson.h>
#include <spdlog/fmt/fmt.h>

#include <cstdint>
#include <map>
#include <string_view>

#include "core/text.h"
#include "daemon/json_members.h"

namespace tidegate::daemon {
namespace {

using json::count_of;
using json::each_element;
using json::text_of;
using simdjson::dom::element;

char mark_of(std::string_view change) { return change == "added" ? '+' : change == "removed" ? '-' : '~'; }

// An effect that a later daemon may have is shown as it is called.
std::string_view words_for(std::string_view effect, bool is_done) {
  struct Words {
    std::string_view before;
    std::string_view after;
  };
  static const std::map<std::string_view, Words> kWords{
      {"start", {"is started", "was started"}},
      {"stop", {"is stopped", "was stopped"}},
      {"replace", {"is stopped and begins anew", "was stopped and has begun anew"}},
      {"in-place", {"goes on, with these settings", "goes on, with these settings"}},
      {"restart", {"waits for a restart of the daemon", "waits for a restart of the daemon"}},
  };
  const auto words = kWords.find(effect);
  if (words == kWords.end()) return effect;
  return is_done ? words->second.after : words->second.before;
}

void put_change(std::string& out, const element& change, bool is_done) {
  const std::string_view name = text_of(change, "name");
  out += fmt::format("{} {}{}{}: {}", mark_of(text_of(change, "change")), text_of(change, "section"),
                     name.empty() ? "" : " ", name, words_for(text_of(change, "effect"), is_done));
  if (const auto file = text_of(change, "file"); !file.empty()) {
    out += fmt::format("  ({}:{})", file, count_of(change, "line"));
  }
  out += '\n';
  each_element(change, "keys", [&out](const element& key) {
    out += fmt::format("    {}: {} -> {}\n", text_of(key, "key"), text_of(key, "before"), text_of(key, "after"));
  });
  if (const auto note = text_of(change, "note"); !note.empty()) out += fmt::format("    {}\n", note);
}

}  // namespace

Result<ReloadText> reload_as_text(const std::string& json) {
  simdjson::dom::parser parser;
  element root{};
  ReloadText text;
  const bool is_json = parser.parse(json).get(root) == simdjson::SUCCESS;
  if (is_json) text.result = text_of(root, "result");
  if (text.result.empty()) {
    const std::string_view error = is_json ? text_of(root, "error") : std::string_view();
    if (!error.empty()) return fail(ErrorCode::retry, std::string(error));
    return fail(ErrorCode::invalid, "the daemon's answer is not what this version understands: " + clip(json, 300));
  }
  text.config_file = text_of(root, "config");
  text.error = text_of(root, "error");
  each_element(root, "problems", [&](const element& problem) {
    text.problems += text_of(problem, "text");
    text.problems += '\n';
  });
  each_element(root, "changes",
               [&](const element& change) { put_change(text.changes, change, text.result == "done"); });
  if (const std::uint64_t untouched = count_of(root, "untouched"); !text.changes.empty()) {
    text.changes += untouched == 1 ? "  1 other driver or uplink goes on untouched\n"
                                   : fmt::format("  {} other drivers and uplinks go on untouched\n", untouched);
  }
  each_element(root, "restart_needed_for", [&](const element& one) {
    std::string_view waiting;
    if (one.get(waiting) != simdjson::SUCCESS) return;
    if (!text.waiting.empty()) text.waiting += ", ";
    text.waiting += waiting;
  });
  return text;
}

}  // namespace tidegate::daemon
