#include "drivers/mqtt_listener/session_journal.h"

#include <openssl/evp.h>

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

#include "core/log.h"
#include "drivers/mqtt_listener/session_journal_format.h"

namespace tidegate::drivers {
namespace {

constexpr std::uint64_t kReservedBytes = std::uint64_t{256} * 1024;
// A file is given up for a fresh one when it is so large, and four times as large as what it began with.
constexpr std::uint64_t kFileBytes = kReservedBytes;
constexpr std::uint64_t kGrowth = 4;
// However long the other file's content is not known to be durable, as where the log is never synced.
constexpr std::uint64_t kFileBytesMax = std::uint64_t{64} * 1024 * 1024;
// Nor before it is so many times as large as what it began with, or it would be begun anew for ever.
constexpr std::uint64_t kGrowthLeast = 2;
// More than what a file of the most messages, sessions and notes in between can have.
constexpr std::uint64_t kLoadBytesMax = 2 * kFileBytesMax;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::uint64_t random_id() {
  std::random_device random;
  return std::uint64_t{random()} << 32U | random() | 1U;
}

// Nothing when there is no file, or no journal in it. What cannot be read may be the later one of the two.
Result<std::optional<JournalContent>> load(FileSystem& files, const std::string& path,
                                           std::span<const QueueMark> marks) {
  const auto file = files.open(path, OpenMode::read);
  if (!file && file.error().code == ErrorCode::not_found) return std::nullopt;
  if (!file) return tl::unexpected(file.error());
  const auto size = (*file)->size();
  if (!size) return tl::unexpected(size.error());
  if (*size > kLoadBytesMax) return fail(ErrorCode::full, path + " has " + std::to_string(*size) + " bytes, too many");
  std::string content(static_cast<std::size_t>(*size), '\0');
  const auto count = (*file)->read_at(0, std::as_writable_bytes(std::span(content)));
  if (!count) return tl::unexpected(count.error());
  content.resize(*count);
  return read_journal(content, marks);
}

Result<void> remove_files(FileSystem& files, const std::string& directory, const std::string& path) {
  for (const char* suffix : {".a", ".b"}) {
    const auto removed = files.remove(path + suffix);
    if (!removed && removed.error().code != ErrorCode::not_found) return removed;
  }
  const auto synced = files.sync_directory(directory);
  if (!synced && synced.error().code == ErrorCode::not_found) return {};
  return synced;
}

std::uint32_t seconds_of(Duration duration) {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

}  // namespace

SessionJournal::SessionJournal(FileSystem& files, std::string directory, const std::string& name)
    : files_(files), directory_(std::move(directory)), path_(directory_ + "/" + name) {}

Result<std::unique_ptr<SessionJournal>> SessionJournal::open(FileSystem& files, const std::string& directory,
                                                             const std::string& name,
                                                             std::span<const QueueMark> marks) {
  if (auto made = files.make_directory(directory); !made) return tl::unexpected(made.error());
  std::unique_ptr<SessionJournal> journal(new SessionJournal(files, directory, name));
  std::optional<JournalContent> found;
  for (const char* suffix : {".a", ".b"}) {
    auto loaded = load(files, journal->path_ + suffix, marks);
    if (!loaded) return tl::unexpected(loaded.error());
    auto& content = *loaded;
    if (content && (!found || content->head.generation > found->head.generation)) found = std::move(content);
  }
  if (found) {
    journal->sessions_ = std::move(found->sessions);
    journal->seed_ = journal->generation_ = found->head.generation;
  }
  for (const auto& one : journal->sessions_) {
    journal->slots_ = std::max(journal->slots_, one.second.slot);
    journal->messages_ += one.second.taken.size();
  }
  // No mark of a later process may cover what does not count, nor may one that stands behind records that a power cut
  // took: each process has numbers of its own.
  journal->queue_id_ = random_id();
  // What was found is known all the same where no file can be begun now.
  journal->write_failed_ = true;
  journal->begin_or_discard();
  journal->sync();
  return journal;
}

Result<void> SessionJournal::discard(FileSystem& files, const std::string& directory, const std::string& name) {
  return remove_files(files, directory, directory + "/" + name);
}

Result<std::shared_ptr<File>> SessionJournal::file_of(std::uint32_t generation) {
  const std::string path = path_ + (generation % 2 == 0 ? ".a" : ".b");
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_spoilt_[generation % 2], false)) (void)files_.remove(path);
  }
  auto file = files_.open(path, OpenMode::write);
  if (!file) {
    file = files_.open(path, OpenMode::create);
    const std::lock_guard lock(mutex_);
    directory_changed_ = true;
  }
  if (!file) return tl::unexpected(file.error());
  if (auto reserved = (*file)->reserve(kReservedBytes); !reserved) return tl::unexpected(reserved.error());
  return std::shared_ptr<File>(std::move(*file));
}

// What has not been written yet is in the sessions too.
Result<void> SessionJournal::begin_file() {
  const std::uint32_t generation = seed_ + 1;
  auto file = file_of(generation);
  if (!file) return tl::unexpected(file.error());
  const std::string notes = std::exchange(unwritten_, {});
  const std::uint32_t before = std::exchange(seed_, generation);
  append_head(unwritten_, {generation, queue_id_});
  for (const auto& [client_id, session] : sessions_) put_session(client_id, session);
  put_messages_of_before();
  put(NoteKind::begun, {});
  const auto written = (*file)->write_at(0, bytes_of(unwritten_));
  if (!written) {
    seed_ = before;
    unwritten_ = notes;
    return written;
  }
  start_bytes_ = offset_ = unwritten_.size();
  unwritten_.clear();
  unwritten_messages_ = write_failed_ = is_discarded_ = false;
  const std::lock_guard lock(mutex_);
  file_ = std::move(*file);
  generation_ = generation;
  is_dirty_ = true;
  sync_failed_ = false;
  problem_.clear();
  return {};
}

void SessionJournal::put(NoteKind kind, std::string_view content) { append_note(unwritten_, seed_, kind, content); }

void SessionJournal::put_session(const std::string& client_id, const Session& session) {
  std::string content;
  append_le(content, session.slot, 4);
  append_le(content, seconds_of(session.expiry), 4);
  for (const std::uint8_t byte : session.owner) append_le(content, byte, 1);
  put(NoteKind::session, content + client_id);
}

void SessionJournal::put_queue(std::uint64_t queue_id) {
  std::string content;
  append_le(content, queue_id, 8);
  put(NoteKind::queue, content);
}

void SessionJournal::put_messages_of_before() {
  std::uint64_t queue_id = queue_id_;
  for (const auto& [client_id, session] : sessions_) {
    for (const auto& [packet_id, message] : session.taken) {
      if (message.queue_id != queue_id) put_queue(message.queue_id);
      queue_id = message.queue_id;
      put_message(session.slot, packet_id, message);
    }
  }
  if (queue_id != queue_id_) put_queue(queue_id_);
}

void SessionJournal::put_message(std::uint32_t slot, std::uint16_t packet_id, const Message& message) {
  std::string content;
  append_le(content, slot, 4);
  append_le(content, packet_id, 2);
  append_le(content, message.number, 8);
  append_le(content, message.digest, 8);
  put(NoteKind::taken, content);
}

void SessionJournal::keep(std::string_view client_id, Duration expiry, const UserDigest& owner) {
  const auto known = sessions_.find(client_id);
  const bool is_known = known != sessions_.end() && known->second.owner == owner;
  if (is_known && seconds_of(known->second.expiry) == seconds_of(expiry)) return;
  Session& session = known != sessions_.end() ? known->second : sessions_[std::string(client_id)];
  if (known == sessions_.end()) session.slot = ++slots_;
  session.expiry = expiry;
  session.owner = owner;
  put_session(std::string(client_id), session);
}

void SessionJournal::forget(std::string_view client_id) {
  const auto known = sessions_.find(client_id);
  if (known == sessions_.end()) return;
  std::string content;
  append_le(content, known->second.slot, 4);
  put(NoteKind::forgotten, content);
  messages_ -= known->second.taken.size();
  sessions_.erase(known);
}

void SessionJournal::take(std::string_view client_id, std::uint16_t packet_id, Message message) {
  const auto known = sessions_.find(client_id);
  if (known == sessions_.end()) return;
  message.queue_id = queue_id_;
  if (known->second.taken.insert_or_assign(packet_id, message).second) ++messages_;
  put_message(known->second.slot, packet_id, message);
  unwritten_messages_ = true;
}

bool SessionJournal::has_room_for(std::string_view client_id) const {
  const auto known = sessions_.find(client_id);
  const std::size_t taken = known == sessions_.end() ? 0 : known->second.taken.size();
  constexpr std::size_t kOfAll = kMessagesMax - kMessagesOfShares;
  const std::size_t left = messages_ < kOfAll ? kOfAll - messages_ : 0;
  return messages_ < kMessagesMax && taken < std::max(kMessagesOwnShare, left);
}

void SessionJournal::release(std::string_view client_id, std::uint16_t packet_id) {
  const auto known = sessions_.find(client_id);
  if (known == sessions_.end() || known->second.taken.erase(packet_id) == 0) return;
  --messages_;
  std::string content;
  append_le(content, known->second.slot, 4);
  append_le(content, packet_id, 2);
  put(NoteKind::released, content);
}

void SessionJournal::flush() {
  if (unwritten_.empty()) return;
  if (!write_failed_) {
    const auto written = file_->write_at(offset_, bytes_of(unwritten_));
    if (written) {
      offset_ += unwritten_.size();
    } else {
      write_failed_ = true;
      note_problem(written.error().message);
      return begin_or_discard();
    }
  }
  unwritten_.clear();
  unwritten_messages_ = false;
  const std::lock_guard lock(mutex_);
  is_dirty_ = true;
}

// The other file may have the room that this one lacks.
void SessionJournal::begin_or_discard() {
  const auto begun = begin_file();
  if (begun) return;
  note_problem(begun.error().message);
  unwritten_.clear();
  unwritten_messages_ = false;
  if (!write_failed_ || is_discarded_) return;
  if (const auto removed = remove_files(files_, directory_, path_); removed) {
    is_discarded_ = true;
  } else {
    note_problem(removed.error().message);
  }
}

void SessionJournal::tidy_up() {
  flush();
  bool is_due = write_failed_;
  {
    const std::lock_guard lock(mutex_);
    const bool is_large = offset_ >= std::max(kFileBytes, kGrowth * start_bytes_);
    is_due = is_due || sync_failed_ || (is_large && durable_generation_ == generation_) ||
             offset_ >= std::max(kFileBytesMax, kGrowthLeast * start_bytes_);
  }
  if (!is_due) return;
  begin_or_discard();
}

void SessionJournal::sync() {
  std::shared_ptr<File> file;
  std::uint32_t generation = 0;
  bool directory_changed = false;
  {
    const std::lock_guard lock(mutex_);
    if (!file_ || sync_failed_ || !std::exchange(is_dirty_, false)) return;
    file = file_;
    generation = generation_;
    directory_changed = std::exchange(directory_changed_, false);
  }
  auto synced = file->sync();
  const bool is_spoilt = !synced;
  if (synced && directory_changed) synced = files_.sync_directory(directory_);
  if (!synced) note_problem(synced.error().message);
  const std::lock_guard lock(mutex_);
  if (synced) {
    durable_generation_ = generation;
  } else {
    is_spoilt_[generation % 2] = is_spoilt_[generation % 2] || is_spoilt;
    directory_changed_ = directory_changed_ || directory_changed;
    sync_failed_ = sync_failed_ || file == file_;
  }
}

void SessionJournal::note_problem(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (problem_.empty()) {
    log_error("listener", "{}: {}: until this works again, messages of QoS 2 may be taken twice over a restart", path_,
              what);
  }
  problem_ = what;
}

std::string SessionJournal::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

UserDigest user_digest(std::string_view name) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> whole{};
  UserDigest digest{};
  if (EVP_Digest(name.data(), name.size(), whole.data(), nullptr, EVP_sha256(), nullptr) != 1) return digest;
  std::copy_n(whole.begin(), digest.size(), digest.begin());
  return digest;
}

std::uint64_t message_digest(std::string_view topic, std::string_view payload) {
  std::uint64_t digest = 0xcbf29ce484222325U;  // FNV-1a, 64 bits
  const auto add = [&](std::string_view bytes) {
    for (const char byte : bytes) digest = (digest ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3U;
  };
  add(topic);
  add(std::string_view("\0", 1));
  add(payload);
  return digest;
}

}  // namespace tidegate::drivers
