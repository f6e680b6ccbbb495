#include "daemon/config/subscribe_keys.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "core/parse_whole.h"
#include "core/tag.h"
#include "core/text.h"
#include "daemon/config/keys.h"
#include "daemon/config/values.h"
#include "drivers/mqtt/mqtt_driver.h"
#include "drivers/mqtt/subscription.h"

namespace tidegate::daemon {
namespace {

using drivers::MqttSubscribeOptions;
using drivers::PayloadFormat;
using drivers::TimeUnit;
constexpr const char* kPointerForm = "a JSON pointer (RFC 6901), such as \"/value\"";

bool has_placeholder(const std::string& topic, const std::string& name) {
  return topic.find("{" + name + "}") != std::string::npos || topic.find("{" + name + "...}") != std::string::npos;
}

Result<void> store_values(MqttSubscribeOptions& subscribe, Setting& setting) {
  auto* pairs = std::get_if<Pairs>(&setting);
  if (pairs == nullptr) {
    subscribe.values_all = true;
    return {};
  }
  for (const auto& [tag, pointer] : *pairs) {
    if (auto good = check_tag_path(tag); !good) return good;
    if (auto good = drivers::check_json_pointer(pointer); !good) {
      return fail(ErrorCode::invalid, "at \"" + clip(tag) + "\": " + good.error().message);
    }
  }
  subscribe.values = std::move(*pairs);
  return {};
}

Result<void> store_units(MqttSubscribeOptions& subscribe, Setting& setting) {
  subscribe.units = std::move(std::get<Pairs>(setting));
  return {};
}

bool is_pointer(const std::string& part, const MqttSubscribeOptions& subscribe) {
  return !subscribe.each.empty() && part.starts_with('/');
}

// `tag` and `device` are names, or with `each` also pointers into the element.
void check_part(const std::string& part, const char* key, const MqttSubscribeOptions& subscribe, const Scope& scope) {
  if (!scope.has(key) || !scope.is_sound(key)) return;
  if (has_placeholder(subscribe.topic, key)) {
    return scope.wrong(key, "is already the {" + std::string(key) + "} of the topic \"" + clip(subscribe.topic) +
                                "\"; use one of them");
  }
  const auto good = is_pointer(part, subscribe) ? drivers::check_json_pointer(part) : check_tag_path(part);
  if (!good) scope.wrong(key, good.error().message);
}

void check_sources_of_tag(const MqttSubscribeOptions& subscribe, const Scope& scope) {
  if (!subscribe.values.empty() && scope.has("value")) {
    return scope.wrong("values", "cannot stand beside \"value\"; use one of them");
  }
  if (!scope.has("topic") || !scope.is_sound("topic") || scope.has("values") || scope.has("tag")) return;
  if (has_placeholder(subscribe.topic, "tag")) return;
  scope.wrong("topic", "has no {tag}, and there is neither \"tag\" nor \"values\": nothing names the tag, found \"" +
                           clip(subscribe.topic) + "\"");
}

// A name that nothing can have is a slip of the pen.
void check_units(const MqttSubscribeOptions& subscribe, const Scope& scope) {
  if (!scope.has("units") || !scope.is_sound("units") || !scope.is_sound("values")) return;
  const auto& values = subscribe.values;
  if (values.empty()) {
    if (subscribe.values_all || has_placeholder(subscribe.topic, "tag") || is_pointer(subscribe.tag, subscribe)) return;
    return scope.wrong("units",
                       "names values or tags, and there is one here, which has its name already: use \"unit\"");
  }
  for (const auto& [name, unit] : subscribe.units) {
    const bool is_there =
        std::any_of(values.begin(), values.end(), [&name = name](const auto& value) { return value.first == name; });
    if (!is_there) {
      scope.wrong("units", "has a unit for \"" + clip(name) + "\", which is none of the names in \"values\"");
    }
  }
}

// Births name devices and metrics, and say what their values are.
void check_sparkplug(const Scope& scope) {
  for (const char* key : {"device", "tag", "unit", "units", "value", "values", "each", "time", "time_unit"}) {
    if (scope.has(key))
      scope.wrong(key, "cannot stand beside payload \"sparkplug\", whose messages say it: leave it out");
  }
}

// What points to no column would find nothing in any message.
void check_csv(const MqttSubscribeOptions& subscribe, const Scope& scope) {
  if (scope.has("each")) scope.wrong("each", "is only for payload \"json\", found payload " + scope.found("payload"));
  if (subscribe.values_all) scope.wrong("values", "cannot be \"*\" with payload \"csv\", whose columns have no names");
  const auto check = [&](const char* key, const std::string& pointer) {
    const auto column = pointer.starts_with('/') ? parse_whole<std::uint16_t>(pointer.substr(1)) : std::nullopt;
    const bool is_column = column && pointer.substr(1) == std::to_string(*column);  // "/01" is none
    if (!is_column && scope.is_sound(key)) {
      scope.wrong(key, "with payload \"csv\" is a column, the first one \"/0\", found \"" + clip(pointer) + "\"");
    }
  };
  if (scope.has("time")) check("time", subscribe.time);
  if (subscribe.values.empty() && !subscribe.values_all) check("value", subscribe.value);
  for (const auto& [name, pointer] : subscribe.values) check("values", pointer);
}

void check_payload(const MqttSubscribeOptions& subscribe, const Scope& scope) {
  if (scope.has("time_unit") && !scope.has("time")) scope.wrong("time_unit", "needs the key \"time\" beside it");
  if (subscribe.payload == PayloadFormat::json) return;
  if (subscribe.payload == PayloadFormat::csv) return check_csv(subscribe, scope);
  for (const char* key : {"value", "values", "each", "time"}) {
    const char* const payloads = std::string_view(key) == "each" ? "\"json\"" : "\"json\" or \"csv\"";
    if (scope.has(key))
      scope.wrong(key, fmt::format("is only for payload {}, found payload {}", payloads, scope.found("payload")));
  }
}

void finish_subscribe(MqttSubscribeOptions& subscribe, const Scope& scope) {
  subscribe.where.text = to_string(scope.place());
  if (scope.has("topic") && scope.is_sound("topic") && scope.is_sound("payload")) {
    if (const auto good = drivers::check_topic(subscribe); !good) scope.wrong("topic", good.error().message);
  }
  if (subscribe.payload == PayloadFormat::sparkplug) return check_sparkplug(scope);
  check_part(subscribe.tag, "tag", subscribe, scope);
  check_part(subscribe.device, "device", subscribe, scope);
  check_sources_of_tag(subscribe, scope);
  check_units(subscribe, scope);
  check_payload(subscribe, scope);
}

std::vector<Key> source_rows() {
  using namespace rows;
  using Owner = MqttSubscribeOptions;
  Key units = row("units", KeyType::named_texts, 0, kTextBytesMax);
  units.store = [](void* owner, Setting& setting) { return store_units(*static_cast<Owner*>(owner), setting); };
  return {
      checked<Owner>("topic", &Owner::topic, [](const std::string&) { return Result<void>(); })  // with the payload
          .required()
          .must_be(
              "a topic template: {name} for one level, {name...} for the rest; with payload \"sparkplug\" a filter")
          .example("\"plant/{device}/{tag}\"")
          .says(
              "What to subscribe to. `{device}` and `{tag}` name the tag; a `{name}` is a `+`, a trailing `{name...}` "
              "a `#`. With payload `\"sparkplug\"` it is a filter such as `\"spBv1.0/GROUP/#\"`. "
              "`\"$share/GROUP/plant/{device}/{tag}\"` takes turns with the other clients of that group, each message "
              "going to one of them; not at a listener. It is of MQTT 5; brokers such as mosquitto have it with 3.1.1 "
              "too, "
              "another one may say yes and send nothing. No retained messages come, and the broker may go on dealing "
              "to a "
              "gateway that is away, whose session keeps its part ([ADR 21](adr/0021-shared-subscriptions.md))."),
      integer<Owner>("qos", &Owner::qos, 0, 1)
          .by_default(1)
          .says("Quality of service. With 0 the broker sends a message once and forgets it. It means nothing to a "
                "listener, "
                "whose clients choose."),
      choice<Owner, PayloadFormat>("payload", &Owner::payload,
                                   {{"json", PayloadFormat::json},
                                    {"number", PayloadFormat::number},
                                    {"text", PayloadFormat::text},
                                    {"csv", PayloadFormat::csv},
                                    {"sparkplug", PayloadFormat::sparkplug}})
          .by_default("json")
          .says(
              "What a message holds: JSON, one number in digits, text, a line of comma-separated values, or a "
              "Sparkplug B 3.0 payload, which becomes the tags `GROUP/NODE/METRIC` and `GROUP/NODE/DEVICE/METRIC` "
              "([ADR 17](adr/0017-sparkplug-ingest.md)). The columns of `\"csv\"` are `\"/0\"`, `\"/1\"` and so on to "
              "`value`, `values` and `time`: what is written as a number is one, what is empty, `nan`, `inf` or beyond "
              "a double is null of quality bad, all else is text, and so is each field in quotes (`\"a, \"\"b\"\"\"`). "
              "One "
              "message is one line, of 64 KiB at most; its end may be CR LF, LF, CR or nothing, and two lines are "
              "refused (`not_csv`). A text of more than 64 KiB is refused; where a segment of the buffer is smaller "
              "than 128 KiB, one of more than 40 KiB."),
      text<Owner>("device", &Owner::device)
          .by_default_is("the driver's name")
          .example("\"boiler\"")
          .says("The device, where the topic has no `{device}`. With `each`, what begins with `/` is a JSON pointer."),
      text<Owner>("tag", &Owner::tag)
          .example("\"temp\"")
          .says("The tag, where the topic has no `{tag}`. With `each`, what begins with `/` is a JSON pointer."),
      text<Owner>("unit", &Owner::unit).example("\"°C\"").says("The unit of the values."),
      std::move(units)
          .must_be("names and units, such as { temp = \"°C\", hum = \"%\" }")
          .example("{ temp = \"°C\", hum = \"%\" }")
          .says(
              "Units by name, before `unit`: by the names in `values`, or of the members with `\"*\"`; else by the "
              "tag, "
              "where topic or payload give it. A tag keeps the unit that it was first seen with until the next start. "
              "Sparkplug payloads give no unit. The type of a tag is that of each value: it may change from one "
              "message "
              "to the next, and every reading is stored as what came."),
  };
}

std::vector<Key> json_rows() {
  using namespace rows;
  using Owner = MqttSubscribeOptions;
  Key values = row("values", KeyType::pointers, 1, kTextBytesMax);
  values.store = [](void* owner, Setting& setting) { return store_values(*static_cast<Owner*>(owner), setting); };
  return {
      checked<Owner>("value", &Owner::value, drivers::check_json_pointer)
          .must_be(kPointerForm)
          .may_be_empty()
          .by_default_is("the whole payload")
          .example("\"/value\"")
          .says("Where the value is."),
      std::move(values)
          .example("{ temp = \"/t\", hum = \"/h\" }")
          .says("Several values of a message, by tag; behind a tag of topic or `tag`, they are named `TAG/NAME`. "
                "`\"*\"` takes "
                "every scalar member of the object at `value`."),
      checked<Owner>("each", &Owner::each, drivers::check_json_pointer)
          .must_be(kPointerForm)
          .example("\"/readings\"")
          .says("Where an array of readings is; `value`, `time`, `tag` and `device` then point into each element."),
      checked<Owner>("time", &Owner::time, drivers::check_json_pointer)
          .must_be(kPointerForm)
          .by_default_is("the time of arrival")
          .example("\"/ts\"")
          .says(
              "Where the time of the reading is. Without one, what the broker had retained makes a reading of quality "
              "uncertain, reason `stale`: it is sent again at every connect, however old it is."),
      choice<Owner, TimeUnit>("time_unit", &Owner::time_unit,
                              {{"s", TimeUnit::seconds},
                               {"ms", TimeUnit::milliseconds},
                               {"us", TimeUnit::microseconds},
                               {"ns", TimeUnit::nanoseconds},
                               {"iso8601", TimeUnit::iso8601}})
          .by_default("ms")
          .says("What the time counts since 1970 UTC, or that it is written as in ISO 8601."),
  };
}

}  // namespace

// The tags that this subscription can make are known beforehand only when nothing of their paths comes in by messages.
void note_subscribed_tags(const std::string& driver, const MqttSubscribeOptions& subscribe, const Scope& scope) {
  const bool is_open = subscribe.payload == PayloadFormat::sparkplug || subscribe.values_all ||
                       has_placeholder(subscribe.topic, "device") || has_placeholder(subscribe.topic, "tag") ||
                       is_pointer(subscribe.device, subscribe) || is_pointer(subscribe.tag, subscribe);
  if (is_open) {
    scope.state().has_open_tags = true;
    return;
  }
  const std::string device = subscribe.device.empty() ? driver : subscribe.device;
  const std::string base = subscribe.tag.empty() ? device : device + "/" + subscribe.tag;
  if (subscribe.values.empty()) {
    if (!subscribe.tag.empty()) scope.claim_tag(base, driver, "tag");
    return;
  }
  for (const auto& [name, pointer] : subscribe.values) scope.claim_tag(base + "/" + name, driver, "values");
}

void fill_subscribe_keys(Section& section) {
  section.needs_one = true;
  section.keys = source_rows();
  for (Key& key : json_rows()) section.keys.push_back(std::move(key));
  section.finish = rows::finish<MqttSubscribeOptions>(finish_subscribe);
}

void check_sync_beside_durable(const Scope& scope) {
  if (scope.state().config.buffer.ring.sync != buffer::SyncPolicy::os) return;
  scope.wrong("ack",
              "\"durable\" does not go with buffer.sync \"os\", which never makes anything durable in time; use "
              "\"written\" here, or \"interval\" or \"always\" there");
}

}  // namespace tidegate::daemon
