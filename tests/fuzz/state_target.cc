#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "buffer/gap_record.h"
#include "buffer/state_store.h"
#include "daemon/rules_state.h"
#include "drivers/mqtt_listener/session_journal_format.h"
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

// Notes of a kind, a length and so many bytes, their checksums made right.
void load_journal(std::string_view content) {
  (void)drivers::read_journal(content, {});
  constexpr std::uint64_t kQueue = 7;
  std::string file;
  drivers::append_head(file, {3, kQueue});
  while (content.size() >= 2) {
    const auto kind = static_cast<drivers::NoteKind>(content[0]);
    const std::size_t bytes = std::min<std::size_t>(static_cast<std::uint8_t>(content[1]), content.size() - 2);
    drivers::append_note(file, 3, kind, content.substr(2, bytes));
    content.remove_prefix(2 + bytes);
  }
  drivers::append_note(file, 3, drivers::NoteKind::begun, {});
  const std::vector<QueueMark> marks{{kQueue, 200}};
  const auto journal = drivers::read_journal(file, marks);
  check(journal.has_value(), "a whole file is read");
  std::set<std::uint32_t> slots;
  for (const auto& [client, session] : journal->sessions) {
    check(slots.insert(session.slot).second, "each client has a slot of its own");
    for (const auto& one : session.taken) {
      const std::uint64_t in_log = one.second.queue_id == kQueue ? 200 : 0;
      check(one.second.number <= in_log, "only what the log has counts");
    }
  }
}

}  // namespace

void load_state(std::span<const std::uint8_t> input) {
  if (input.empty()) return;
  const std::string_view content(reinterpret_cast<const char*>(input.data()) + 1, input.size() - 1);
  switch (input.front() % 6) {
    case 0:
      return load_database(content);
    case 1:
      return load_write_ahead_log(content);
    case 2:
      return load_rules(content);
    case 3:
      return unpack(content);
    case 4:
      return static_cast<void>(buffer::parse_gap(content));
    default:
      return load_journal(content);
  }
}

}  // namespace tidegate::fuzz
