#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "core/file_system.h"
#include "core/record.h"
#include "core/time.h"

namespace tidegate::drivers {

enum class NoteKind : std::uint8_t;

/// Who made a session, however long the name is: the first bytes of its SHA-256. All zero is nobody's.
using UserDigest = std::array<std::uint8_t, 16>;
UserDigest user_digest(std::string_view name);

/// What a listener has to know again after a restart, so that it takes no message of QoS 2 twice: which clients have a
/// session, and which packet ids of each are taken and not yet released by a PUBREL.
///
/// A message is noted before the log gets its readings, under a number in the queue of its process; the log's frame
/// says by a QueueMark up to which number it has the messages. So a note counts exactly when the message is in the log,
/// wherever the process was killed, and for as long as the log has it. A release is noted before its PUBCOMP leaves.
/// Notes need no sync against a kill; sync() stands before the log's own sync, so that a power cut leaves no durable
/// message without its note.
///
/// Two files take turns: one is gone on with, the other gets a fresh start when that has grown too large, and not
/// before the first is durable. What cannot be kept must not be believed later, or the next message under an id whose
/// release is not known would pass for a repeat and be lost: when neither file can be written both are removed.
/// problem() says so. Core thread, but for sync().
class SessionJournal {
 public:
  struct Message {
    std::uint64_t number = 0;
    std::uint64_t digest = 0;    // of topic and payload
    std::uint64_t queue_id = 0;  // that the number belongs to; take() knows it
  };
  struct Session {
    std::uint32_t slot = 0;  // stands for the client id in the file
    Duration expiry{};
    UserDigest owner{};
    std::map<std::uint16_t, Message> taken;  // by packet id
  };
  using Sessions = std::map<std::string, Session, std::less<>>;  // by client id

  /// Reads what `directory`/`name`.a and .b hold (the directory is made when it is missing) and begins anew with what
  /// counts of it. `marks` are the log's. A file that is there and cannot be read is an error.
  static Result<std::unique_ptr<SessionJournal>> open(FileSystem& files, const std::string& directory,
                                                      const std::string& name, std::span<const QueueMark> marks);

  /// Takes the files away, so that no later process believes what they hold. Without the directory there are none.
  static Result<void> discard(FileSystem& files, const std::string& directory, const std::string& name);

  const Sessions& sessions() const { return sessions_; }
  /// False while files that are not up to date can be neither written nor removed: then no id may be released.
  bool is_sound() const { return !write_failed_ || is_discarded_; }
  /// False when so many messages are not released that this client may have no more: as many as all others together
  /// could still have, or its own share, which others leave alone.
  bool has_room_for(std::string_view client_id) const;
  /// Under which the log marks how far it has the messages of this process.
  std::uint64_t queue_id() const { return queue_id_; }

  /// A client has a session that outlives its connections; also when only its expiry is another one.
  void keep(std::string_view client_id, Duration expiry, const UserDigest& owner = {});
  void forget(std::string_view client_id);
  /// Nothing where the client has no session here.
  void take(std::string_view client_id, std::uint16_t packet_id, Message message);
  void release(std::string_view client_id, std::uint16_t packet_id);
  /// Whether a message was noted that no flush() has written.
  bool has_messages() const { return unwritten_messages_; }
  /// Hands all notes to the kernel: they survive SIGKILL.
  void flush();
  /// Begins the other file when this one has grown too large or failed. Now and then.
  void tidy_up();

  /// Any thread: what flush() has written survives a power cut, or does not and problem() says so.
  void sync();
  /// Not empty while notes are not kept.
  std::string problem() const;

  /// Over all clients; a file of them has 64 MiB at the most.
  static constexpr std::size_t kMessagesMax = 256 * 1024;
  /// Of these, what is there for clients that have no more than their own share.
  static constexpr std::size_t kMessagesOfShares = kMessagesMax / 2;
  static constexpr std::size_t kMessagesOwnShare = 32;

 private:
  SessionJournal(FileSystem& files, std::string directory, const std::string& name);
  void put(NoteKind kind, std::string_view content);
  void put_session(const std::string& client_id, const Session& session);
  void put_queue(std::uint64_t queue_id);
  void put_message(std::uint32_t slot, std::uint16_t packet_id, const Message& message);
  void put_messages_of_before();
  Result<void> begin_file();
  Result<std::shared_ptr<File>> file_of(std::uint32_t generation);
  void begin_or_discard();
  void note_problem(const std::string& what);

  FileSystem& files_;
  const std::string directory_;
  const std::string path_;  // without ".a" and ".b"
  Sessions sessions_;
  std::uint64_t queue_id_ = 0;
  std::uint32_t slots_ = 0;  // given out
  std::string unwritten_;
  bool unwritten_messages_ = false;
  std::uint64_t offset_ = 0;
  std::uint64_t start_bytes_ = 0;  // of the file in use, what it began with
  bool write_failed_ = false;
  bool is_discarded_ = false;  // after write_failed_: no file is there
  std::size_t messages_ = 0;   // of all sessions
  std::uint32_t seed_ = 0;     // generation_

  mutable std::mutex mutex_;  // what follows
  std::shared_ptr<File> file_;
  std::uint32_t generation_ = 0;
  std::uint32_t durable_generation_ = 0;
  bool is_dirty_ = false;
  bool sync_failed_ = false;         // of file_
  std::array<bool, 2> is_spoilt_{};  // a sync of it has failed: it is never used again
  bool directory_changed_ = false;
  std::string problem_;
};

/// Of a message, to tell a repeat from another message under the same packet id.
std::uint64_t message_digest(std::string_view topic, std::string_view payload);

}  // namespace tidegate::drivers
