#include "drivers/mqtt_listener/session_journal_format.h"

#include <algorithm>
#include <cstddef>
#include <map>

#include "core/crc32c.h"

namespace tidegate::drivers {
namespace {

constexpr std::uint32_t kMagic = 0x32515154;
constexpr std::uint32_t kVersion = 3;  // 1 had no notes of queues: all its messages are of the head's; 2 no owners
constexpr std::size_t kNoteHeadBytes = 8;
constexpr std::size_t kCrcBytes = 4;

std::uint32_t crc_of(std::string_view bytes, std::uint32_t seed) {
  return crc32c(std::as_bytes(std::span(bytes.data(), bytes.size())), seed);
}

/// Takes numbers off the front; too few bytes read as zero and make ok() false.
class NoteReader {
 public:
  explicit NoteReader(std::string_view content) : rest_(content) {}
  template <class T>
  T number() {
    ok_ = ok_ && rest_.size() >= sizeof(T);
    if (!ok_) return T{};
    std::uint64_t value = 0;
    for (std::size_t i = sizeof(T); i-- > 0;) value = value << 8U | static_cast<std::uint8_t>(rest_[i]);
    rest_.remove_prefix(sizeof(T));
    return static_cast<T>(value);
  }
  std::string_view rest() const { return rest_; }
  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

struct Note {
  NoteKind kind{};
  std::string_view content;
  std::size_t bytes = 0;
};

std::optional<Note> read_note(std::string_view bytes, std::uint32_t seed) {
  NoteReader reader(bytes);
  const auto crc = reader.number<std::uint32_t>();
  const auto kind_and_size = reader.number<std::uint32_t>();
  const std::size_t size = kind_and_size >> 8U;
  if (!reader.ok() || size > reader.rest().size()) return std::nullopt;
  const Note note{static_cast<NoteKind>(kind_and_size & 0xffU), reader.rest().substr(0, size), kNoteHeadBytes + size};
  if (crc_of(bytes.substr(kCrcBytes, note.bytes - kCrcBytes), seed) != crc) return std::nullopt;
  return note;
}

std::optional<JournalHead> read_head(const std::optional<Note>& note) {
  if (!note || note->kind != NoteKind::head) return std::nullopt;
  NoteReader reader(note->content);
  const auto magic = reader.number<std::uint32_t>();
  JournalHead head;
  head.version = reader.number<std::uint32_t>();
  head.generation = reader.number<std::uint32_t>();
  head.queue_id = reader.number<std::uint64_t>();
  if (!reader.ok() || magic != kMagic || head.version == 0 || head.version > kVersion) return std::nullopt;
  return head;
}

/// Applies notes in the order in which they were made.
class Replay {
 public:
  Replay(JournalContent& into, std::span<const QueueMark> marks) : into_(into), marks_(marks) {
    begin_queue(into.head.queue_id);
  }

  void apply(const Note& note) {
    NoteReader reader(note.content);
    if (note.kind == NoteKind::queue) return begin_queue(reader.number<std::uint64_t>());
    const auto slot = reader.number<std::uint32_t>();
    if (note.kind == NoteKind::session) return open(slot, reader);
    if (!reader.ok()) return;
    const auto client = clients_.find(slot);
    if (client == clients_.end()) return;
    if (note.kind == NoteKind::forgotten) {
      into_.sessions.erase(client->second);
      clients_.erase(client);
      return;
    }
    const auto packet_id = reader.number<std::uint16_t>();
    if (!reader.ok()) return;
    auto& taken = into_.sessions[client->second].taken;
    if (note.kind == NoteKind::released) taken.erase(packet_id);
    if (note.kind == NoteKind::taken) take(taken, packet_id, reader);
  }

 private:
  void begin_queue(std::uint64_t queue_id) {
    queue_id_ = queue_id;
    const auto mark =
        std::find_if(marks_.begin(), marks_.end(), [&](const QueueMark& one) { return one.queue_id == queue_id; });
    in_log_ = mark == marks_.end() ? 0 : mark->position;
  }
  void open(std::uint32_t slot, NoteReader& reader) {
    const auto expiry = reader.number<std::uint32_t>();
    UserDigest owner{};
    if (into_.head.version >= 3) {
      for (std::uint8_t& byte : owner) byte = reader.number<std::uint8_t>();
    }
    const std::string client(reader.rest());
    if (!reader.ok() || client.empty()) return;
    // A client has one slot; what a file that nobody wrote says otherwise makes no second one.
    auto& session = into_.sessions[client];
    if (const auto mine = clients_.find(session.slot); mine != clients_.end() && mine->second == client) {
      clients_.erase(mine);
    }
    if (const auto other = clients_.find(slot); other != clients_.end() && other->second != client) {
      into_.sessions.erase(other->second);
    }
    session.slot = slot;
    session.expiry = std::chrono::seconds(expiry);
    session.owner = owner;
    clients_[slot] = client;
  }
  void take(std::map<std::uint16_t, SessionJournal::Message>& taken, std::uint16_t packet_id, NoteReader& reader) {
    SessionJournal::Message message;
    message.number = reader.number<std::uint64_t>();
    message.digest = reader.number<std::uint64_t>();
    if (!reader.ok()) return;
    message.queue_id = queue_id_;
    if (message.number <= in_log_) taken[packet_id] = message;
  }

  JournalContent& into_;
  const std::span<const QueueMark> marks_;
  std::uint64_t queue_id_ = 0;                    // of the messages that follow
  std::uint64_t in_log_ = 0;                      // up to which number the log has those of that queue
  std::map<std::uint32_t, std::string> clients_;  // by slot
};

}  // namespace

void append_le(std::string& out, std::uint64_t number, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(number >> (8 * i)));
}

void append_note(std::string& out, std::uint32_t seed, NoteKind kind, std::string_view content) {
  std::string note;
  append_le(note, content.size() << 8U | static_cast<std::uint8_t>(kind), 4);
  note += content;
  append_le(out, crc_of(note, seed), 4);
  out += note;
}

void append_head(std::string& out, const JournalHead& head) {
  std::string content;
  append_le(content, kMagic, 4);
  append_le(content, kVersion, 4);
  append_le(content, head.generation, 4);
  append_le(content, head.queue_id, 8);
  append_note(out, 0, NoteKind::head, content);
}

std::optional<JournalContent> read_journal(std::string_view bytes, std::span<const QueueMark> marks) {
  const auto first = read_note(bytes, 0);
  const auto head = read_head(first);
  if (!head) return std::nullopt;
  JournalContent content;
  content.head = *head;
  Replay replay(content, marks);
  bool has_begun = false;
  for (std::size_t at = first->bytes;;) {
    const auto note = read_note(bytes.substr(at), head->generation);
    if (!note) break;
    has_begun = has_begun || note->kind == NoteKind::begun;
    replay.apply(*note);
    at += note->bytes;
  }
  if (!has_begun) return std::nullopt;
  return content;
}

}  // namespace tidegate::drivers
