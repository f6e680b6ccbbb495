#include "daemon/tag_writer.h"

#include <string_view>
#include <utility>

#include "core/text.h"
#include "daemon/event_record.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kTextBytesMost = 500;

// What others send may be of any length.
Value short_value(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr ? Value(clip(*text, kTextBytesMost)) : value;
}

std::string shown(const Value& value) {
  std::string text;
  append_json(text, short_value(value));
  return text;
}

// What others send does not make kinds of complaints without end.
std::string_view kind_of(std::string_view reason) { return reason.substr(0, reason.find_first_of("0123456789-\"")); }

std::string write_event(WallTime time, const TagWrite& wanted, const std::string& driver, WriteResult result,
                        const std::string& reason) {
  std::string document;
  JsonWriter json(document);
  json.begin_object().member("event", "tag-write");
  json.member("time", std::int64_t{std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count()});
  json.member("tag", clip(wanted.tag, kTextBytesMost)).member("value", short_value(wanted.value));
  json.member("by", wanted.by).member("result", to_string(result));
  if (!reason.empty()) json.member("reason", clip(reason, kTextBytesMost));
  if (!driver.empty()) json.member("driver", driver);
  if (!wanted.detail.empty()) json.member("detail", clip(wanted.detail, kTextBytesMost));
  json.end_object();
  return document;
}

}  // namespace

TagWriter::TagWriter(Parts parts) : parts_(parts) {
  look_at_drivers();
  parts_.pipeline->on_answer([this](const drivers::WriteAnswer& answer) { take(answer); });
}

void TagWriter::forget_drivers() {
  targets_.clear();
  paths_.clear();
}

void TagWriter::look_at_drivers() {
  forget_drivers();
  for (const auto& source : parts_.pipeline->sources()) {
    for (const TagId id : source.driver->writable()) {
      const std::string& path = parts_.tags->tag(id).path;
      targets_[path] = {source.driver.get(), id};
      paths_.insert(path);
    }
  }
}

TagWriter::~TagWriter() {
  *alive_ = false;
  parts_.pipeline->on_answer({});
}

std::function<void(TagWrite)> TagWriter::handler(std::function<void(std::function<void()>)> post) {
  return [this, alive = alive_, post = std::move(post)](TagWrite wanted) {
    post([this, alive, wanted = std::move(wanted)] {
      if (*alive) write(wanted);
    });
  };
}

void TagWriter::write(TagWrite wanted) {
  if (const auto ordered = order(wanted); !ordered) {
    return finish(wanted, WriteResult::refused, ordered.error().message);
  }
  waiting_.emplace(last_id_, std::move(wanted));
}

Result<void> TagWriter::order(const TagWrite& wanted) {
  if (const std::string why = why_not(wanted); !why.empty()) return fail(ErrorCode::invalid, why);
  const BootTime now = parts_.clock->boot_now();
  if (writes_.ready_at(1) > now) {
    return fail(ErrorCode::full, "too many writes: after " + std::to_string(static_cast<int>(kWritesAtOnce)) +
                                     " at once " + std::to_string(static_cast<int>(kWritesPerSecond)) +
                                     " a second are carried out");
  }
  const Target& target = targets_.at(wanted.tag);
  if (auto taken = target.driver->write({last_id_ + 1, target.id, wanted.value}); !taken) return taken;
  ++last_id_;
  writes_.take(1, now);
  return {};
}

std::string TagWriter::why_not(const TagWrite& wanted) const {
  if (!wanted.refusal.empty()) return wanted.refusal;
  if (!targets_.contains(wanted.tag)) {
    return parts_.tags->find(wanted.tag) ? "the tag is not writable: no driver has it with writable = true"
                                         : "no driver has a tag of this name";
  }
  if (parts_.pipeline->is_stalled()) return "the log takes no records, and what cannot be recorded is not written";
  return {};
}

std::string TagWriter::driver_of(const TagWrite& wanted) const {
  const auto id = parts_.tags->find(wanted.tag);
  return id ? parts_.tags->tag(*id).driver : std::string();
}

void TagWriter::take(const drivers::WriteAnswer& answer) {
  const auto waiting = waiting_.find(answer.id);
  if (waiting == waiting_.end()) return;
  const TagWrite wanted = std::move(waiting->second);
  waiting_.erase(waiting);
  finish(wanted, answer.result, answer.reason);
}

void TagWriter::finish(const TagWrite& wanted, WriteResult result, const std::string& reason) {
  const std::string driver = driver_of(wanted);
  ++counts_[driver][static_cast<std::size_t>(result)];
  report(wanted, result, reason);
  const BootTime now = parts_.clock->boot_now();
  if (result == WriteResult::refused) {
    if (refusals_.ready_at(1) > now) {
      left_out_ = {left_out_.count + 1, wanted.by, reason};
      return;
    }
    refusals_.take(1, now);
  }
  parts_.pipeline->record_event(write_event(parts_.clock->wall_now(), wanted, driver, result, reason));
}

void TagWriter::report(const TagWrite& wanted, WriteResult result, const std::string& reason) {
  const std::string line = clip(wanted.tag, kTextBytesMost) + " = " + shown(wanted.value) + " by " + wanted.by +
                           (wanted.detail.empty() ? "" : " (" + clip(wanted.detail, kTextBytesMost) + ")") + ": " +
                           to_string(result) + (reason.empty() ? "" : ": " + clip(reason, kTextBytesMost));
  if (result == WriteResult::written) return log_info("write", "{}", line);
  const std::string kind = targets_.contains(wanted.tag) ? wanted.by + ' ' + wanted.tag : wanted.by;
  const auto left_out = complaints_.admit(kind + ' ' + std::string(kind_of(reason)), parts_.clock->boot_now());
  if (left_out) log_warning("write", "{}{}", line, since_last_line(*left_out));
}

void TagWriter::look() {
  const BootTime now = parts_.clock->boot_now();
  if (left_out_.count == 0 || refusals_.ready_at(1) > now) return;
  refusals_.take(1, now);
  parts_.pipeline->record_event(event_record(
      "tag-writes-refused", parts_.clock->wall_now(),
      {{"count", left_out_.count}, {"by", left_out_.by}, {"reason", clip(left_out_.reason, kTextBytesMost)}}));
  left_out_ = {};
}

}  // namespace tidegate::daemon
