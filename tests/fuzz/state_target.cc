#include <string>
#include <string_view>

#include "buffer/gap_record.h"
#include "buffer/state_store.h"
#include "daemon/rules_state.h"
#include "rules/saved_state.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/targets.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::fuzz {
namespace {

using buffer::StateStore;

// Whatever is there, the store opens (perhaps anew), and what is then saved is loaded again.
void open_and_save(const std::string& path) {
  auto store = StateStore::open(path);
  if (!store) return;  // of a later schema version, say
  auto loaded = (*store)->load();
  buffer::Checkpoint checkpoint;
  if (loaded) {
    checkpoint = std::move(*loaded);
    if (const auto state = daemon::unpack_rules(checkpoint.rules)) (void)rules::decode_state(state->engine);
  }
  checkpoint.log.epoch = 7;
  if (!(*store)->save(checkpoint)) return;
  const auto again = (*store)->load();
  check(again && again->log.epoch == 7 && again->rules == checkpoint.rules, "what was saved is loaded");
}

void load_database(std::string_view content) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory / "state.db";
  testing::write_file(path, std::string(content));
  open_and_save(path);
}

void load_write_ahead_log(std::string_view content) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory / "state.db";
  {
    auto store = StateStore::open(path);
    check(store && (*store)->save({}), "a fresh database can be saved to");
  }
  testing::write_file(path + "-wal", std::string(content));
  open_and_save(path);
}

void load_rules(std::string_view text) {
  (void)rules::decode_state(text);
  // The checksum made right, to reach what is behind it.
  const std::string repaired = rules::state_head(text) + std::string(text);
  const auto state = rules::decode_state(repaired);
  if (state) check(rules::decode_state(rules::encode_state(*state)).has_value(), "what is written is read");
}

void unpack(std::string_view text) {
  const auto state = daemon::unpack_rules(std::string(text));
  if (!state) return;
  const auto again = daemon::unpack_rules(daemon::pack_rules(*state));
  check(again && again->engine == state->engine && again->readings == state->readings && again->alarms == state->alarms,
        "packing keeps what it packs");
}

}  // namespace

void load_state(std::span<const std::uint8_t> input) {
  if (input.empty()) return;
  const std::string_view content(reinterpret_cast<const char*>(input.data()) + 1, input.size() - 1);
  switch (input.front() % 5) {
    case 0:
      return load_database(content);
    case 1:
      return load_write_ahead_log(content);
    case 2:
      return load_rules(content);
    case 3:
      return unpack(content);
    default:
      (void)buffer::parse_gap(content);
  }
}

}  // namespace tidegate::fuzz
