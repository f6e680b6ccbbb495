#include <spdlog/fmt/fmt.h>

#include <iostream>
#include <optional>

#include "buffer/inspect.h"
#include "core/counted.h"
#include "core/file_system.h"
#include "core/log.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/problems.h"
#include "daemon/commands/read_range.h"
#include "daemon/config/config.h"
#include "rules/rule_engine.h"

namespace tidegate::daemon {
namespace {

// Messages name units. Those that MQTT subscriptions give become known only with a message, so they are missing.
void claim_units(const Config& config, TagRegistry& tags) {
  for (const auto& bus : config.modbus_buses) {
    for (const auto& device : bus.devices) {
      for (const auto& tag : device.tags) {
        (void)tags.claim({device.name + "/" + tag.name, bus.name, ValueType::automatic, tag.unit, std::nullopt});
      }
    }
  }
}

int judge(const Config& config, const std::string& data_dir, const buffer::ReadRange& range) {
  PosixFileSystem files;
  TagRegistry tags;
  claim_units(config, tags);
  std::vector<rules::RuleOptions> rules = config.rules;
  // Nobody acknowledges here: each raise is shown.
  for (rules::RuleOptions& rule : rules) rule.latch = false;
  rules::RuleEngine engine(std::move(rules), tags);
  std::vector<rules::AlarmTransition> transitions;
  std::uint64_t readings = 0;
  std::uint64_t raised = 0;
  std::uint64_t cleared = 0;
  const auto read = buffer::read_log(files, data_dir + "/log", tags, range, [&](const RecordBatch& batch) {
    readings += batch.size();
    engine.apply(batch, transitions);
    for (const auto& transition : transitions) {
      ++(transition.state == rules::AlarmState::raised ? raised : cleared);
      std::cout << to_document(transition) << '\n';
    }
    transitions.clear();
    return static_cast<bool>(std::cout);
  });
  if (!read) return report_failure(read.error().message);
  std::cerr << fmt::format("{} judged by {}: {} raised, {} cleared, {} active at the end\n",
                           counted(readings, "reading"), counted(config.rules.size(), "rule"), counted(raised, "alarm"),
                           cleared, engine.active().size());
  return kExitDone;
}

}  // namespace

int test_rules(const TestRulesOptions& options) {
  set_up_logging(LogLevel::warning);
  const auto config = load_config(options.config_file);
  if (!config) {
    print_problems(config.error());
    return kExitConfiguration;
  }
  if (config->rules.empty()) return report_failure(options.config_file + " has no [[rule]] to test");
  const auto range = parse_read_range(Stream::readings, options.from, options.to);
  if (!range) {
    report_failure(range.error().message);
    return kExitUsage;
  }
  return judge(*config, options.data_dir.empty() ? config->gateway.data_dir : options.data_dir, *range);
}

}  // namespace tidegate::daemon
