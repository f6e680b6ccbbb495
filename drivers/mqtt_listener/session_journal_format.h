#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "drivers/mqtt_listener/session_journal.h"

namespace tidegate::drivers {

/// The bytes of one file of a SessionJournal, little endian. A file is a row of notes:
///
///     0 u32 CRC-32C of bytes 4 to the end of the note, seeded with the file's generation
///     4 u32 kind in the lowest eight bits, bytes of the content in the others
///     8     content
///
/// The first note is the head, and behind what the file began with stands a note `begun`: without it the file does not
/// count. The first note whose checksum is wrong is the end; what an earlier turn has left behind it has another seed.
enum class NoteKind : std::uint8_t {
  head = 1,       // u32 0x32515154, u32 version 3, u32 generation (the seed of this one is 0), u64 queue id
  session = 2,    // u32 slot, u32 expiry in seconds, 16 bytes owner, client id
  forgotten = 3,  // u32 slot
  taken = 4,      // u32 slot, u16 packet id, u64 number, u64 digest
  released = 5,   // u32 slot, u16 packet id
  begun = 6,      // nothing
  queue = 7,      // u64 id of the queue that the numbers of the following messages belong to; before the first: head's
};

struct JournalHead {
  std::uint32_t generation = 0;
  std::uint64_t queue_id = 0;
  std::uint32_t version = 0;  // as read
};

void append_note(std::string& out, std::uint32_t seed, NoteKind kind, std::string_view content);
void append_head(std::string& out, const JournalHead& head);
/// Appends a little-endian number of so many bytes.
void append_le(std::string& out, std::uint64_t number, int bytes);

/// What a file holds.
struct JournalContent {
  JournalHead head;
  SessionJournal::Sessions sessions;
};
/// Messages with a number above the mark of their queue do not count: the log does not have them. Nothing when the file
/// is not one, or not a whole one. Whatever the bytes are.
std::optional<JournalContent> read_journal(std::string_view bytes, std::span<const QueueMark> marks);

}  // namespace tidegate::drivers
