// A log with every kind of record in it, damaged in many places at once, or in any single bit: it always opens, nothing
// is read altered, and what was not touched is there.
//   TIDEGATE_SEED=N TIDEGATE_IMAGES=1 build/release/bin/buffer_test --gtest_filter='*DamagedImage*Random*/0'
// repeats image N; TIDEGATE_IMAGES makes a run longer, TIDEGATE_STEP=1 flips every bit and cuts at every byte instead
// of some.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "buffer/frame.h"
#include "buffer/segment_format.h"
#include "tests/buffer/log_fixture.h"
#include "tests/support/seed.h"

namespace tidegate::buffer {
namespace {

constexpr std::uint64_t kImages = tidegate::testing::of_many(2'500, 50);
constexpr std::uint64_t kStep = tidegate::testing::of_many(97, 2'999);  // bits, or bytes
constexpr int kReadings = 12;                                           // in a frame
constexpr int kParts = 4;  // tests that run side by side: these, and as many with rewritten segments

class DamagedImageTest : public LogFixture, public ::testing::WithParamInterface<int> {
 protected:
  struct Record {
    std::string tag;
    Value value;
    Quality quality;
    std::string document;
  };
  struct Frame {
    std::string path;
    std::size_t offset = 0;
    std::size_t end = 0;  // of the body; padding behind it belongs to no CRC
    Stream stream = Stream::readings;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint64_t section = 0;
  };
  using Image = std::map<std::string, std::vector<std::byte>>;

  DamagedImageTest() {
    options_.size_max_bytes = {kSegment * 16, kSegment * 16, kSegment * 16};
    options_.memory_bytes_max = 4096;
    live();
    remember();
  }

  // Sealed and active segments in each stream, three epochs, a hole of dropped readings, all types and qualities.
  void live() {
    open();
    for (int round = 0; round < 40; ++round) {
      append_mixed(round);
      append_document(Stream::alarms, R"({"alarm":"a","text":")" + std::string(40, 'a') + "\"}");
      append_document(Stream::events, R"({"event":"e","text":")" + std::string(30, 'e') + "\"}");
      clock_.advance(std::chrono::milliseconds(700));
      sync(false);
      if (round == 12 || round == 33) {
        save();
        kill_and_reopen();
      }
    }
    sync();
    sync();
    EXPECT_GE(is_dense() ? rewrite() : 3, 3);
    save();
    log_.reset();
  }
  static bool is_dense() { return GetParam() >= kParts; }

  void append_mixed(int round) {
    std::vector<Reading> readings;
    for (int i = 0; i < kReadings; ++i) {
      const std::string tag = "device" + std::to_string(i % 3) + "/tag" + std::to_string((i + round) % 9);
      readings.push_back(reading(tag, any_value(round * kReadings + i)));
      readings.back().time += std::chrono::milliseconds(i);
      if (i % 11 == 0) readings.back().quality = Quality::uncertain;
    }
    append(readings, {{1, static_cast<std::uint64_t>(round) + 1}});
  }
  static Value any_value(int number) {
    switch (number % 6) {
      case 0:
        return number / 100.0;
      case 1:
        return std::int64_t{-number};
      case 2:
        return static_cast<std::uint64_t>(number) << 40;
      case 3:
        return number % 4 == 0;
      case 4:
        return std::string(static_cast<std::size_t>(number % 50), 't');
      default:
        return 1.0 / (number + 1);
    }
  }

  void remember() {
    for (const std::string& path : disk_.paths()) image_[path] = disk_.content(path);
    saved_ = known_;
    open();
    for (const Stream stream : kAllStreams) {
      for (const auto& record : read_disk(stream).records) records_[index(stream)][record.at] = kept(stream, record);
    }
    log_.reset();
    // A file that a rewritten segment has left is kept to be used again, and is not read.
    for (const auto& [path, content] : image_) {
      if (path.ends_with(".seg")) find_frames(path, content);
    }
    for (const Stream stream : kAllStreams) {
      const auto sealed = std::count_if(image_.begin(), image_.end(), [&](const auto& file) {
        return file.first.find(to_string(stream)) != std::string::npos;
      });
      EXPECT_GE(sealed, 2) << "no sealed segment of " << to_string(stream);
      EXPECT_GE(records_[index(stream)].size(), 40U);
    }
  }
  static std::size_t index(Stream stream) { return static_cast<std::size_t>(stream); }
  static Record kept(Stream stream, const ReadBack::Record& record) {
    if (stream != Stream::readings) return {{}, {}, {}, record.document};
    return {record.tag_path, record.reading.value, record.reading.quality, {}};
  }

  void find_frames(const std::string& path, const std::vector<std::byte>& content) {
    for (const Stream stream : kAllStreams) {
      if (path.find(std::string("/") + to_string(stream) + "/") == std::string::npos) continue;
      const std::uint64_t number = std::stoull(path.substr(path.rfind('/') + 1));
      const std::uint32_t seed = SegmentIdentity{saved_.log_id, stream, number}.seed();
      for (std::size_t at = kBlockBytes; at + kFrameHeaderBytes <= content.size();) {
        const auto header = read_frame_header(content.data() + at, seed);
        if (header) {
          frames_.push_back({path, at, at + kFrameHeaderBytes + header->body_bytes, stream, header->first,
                             header->end() - 1, header->section});
        }
        at += header ? header->frame_bytes() : kFrameAlignment;
      }
    }
  }

  void lay(const Image& image, bool database_is_there) {
    log_.reset();
    disk_.wipe();
    ASSERT_TRUE(disk_.make_directory("data"));
    ASSERT_TRUE(disk_.make_directory("data/log"));
    for (const Stream stream : kAllStreams) {
      ASSERT_TRUE(disk_.make_directory(std::string("data/log/") + to_string(stream)));
    }
    for (const auto& [path, content] : image) disk_.set_content(path, content);
    known_ = database_is_there ? saved_ : LogState{};
  }

  static bool same_bytes(const std::vector<std::byte>& a, const std::vector<std::byte>& b, std::size_t from,
                         std::size_t to) {
    if (a.size() < to || b.size() < to) return false;
    const auto begin = static_cast<std::ptrdiff_t>(from);
    const auto end = static_cast<std::ptrdiff_t>(to);
    return std::equal(a.begin() + begin, a.begin() + end, b.begin() + begin);
  }

  /// Frames that are as they were, and before which nothing of their section is touched: tags are named there.
  std::vector<const Frame*> untouched(const Image& image) const {
    std::vector<const Frame*> whole;
    std::set<std::pair<std::string, std::uint64_t>> broken;
    for (const Frame& frame : frames_) {
      const auto file = image.find(frame.path);
      const bool same = file != image.end() && same_bytes(file->second, image_.at(frame.path), frame.offset, frame.end);
      if (!same) broken.insert({frame.path, frame.section});
      if (same && !broken.contains({frame.path, frame.section})) whole.push_back(&frame);
    }
    return whole;
  }
  /// Somebody has to know whose log it is.
  bool is_known_by_a_header(const Image& image) const {
    return std::all_of(image.begin(), image.end(), [&](const auto& file) {
      const auto original = image_.find(file.first);
      return original != image_.end() && same_bytes(file.second, original->second, 0, kBlockBytes);
    });
  }

  void check(const Image& image, bool database_is_there) {
    lay(image, database_is_there);
    open();
    std::array<std::set<std::uint64_t>, kStreamCount> seen;
    for (const Stream stream : kAllStreams) {
      const ReadBack read = read_disk(stream, log_->oldest(stream));
      std::uint64_t lost = 0;
      for (const auto& gone : read.gone) lost += gone.second;
      const auto span = log_->end(stream).sequence - log_->oldest(stream).sequence;
      ASSERT_EQ(read.records.size() + lost, span)
          << to_string(stream) << ": every sequence is there or said to be gone";
      for (const auto& record : read.records) {
        const auto original = records_[index(stream)].find(record.at);
        if (original == records_[index(stream)].end()) {
          ASSERT_GT(record.at.epoch, saved_.epoch) << to_string(stream) << ": nobody wrote " << record.at.sequence;
          continue;
        }
        const Record now = kept(stream, record);
        ASSERT_EQ(now.tag, original->second.tag);
        ASSERT_EQ(now.value, original->second.value);
        ASSERT_EQ(now.quality, original->second.quality);
        ASSERT_EQ(now.document, original->second.document);
        ASSERT_TRUE(seen[index(stream)].insert(record.at.sequence).second) << "read twice";
      }
    }
    if (!database_is_there && !is_known_by_a_header(image)) return;
    for (const Frame* frame : untouched(image)) {
      for (const std::uint64_t sequence : {frame->first, frame->last}) {
        ASSERT_TRUE(seen[index(frame->stream)].contains(sequence))
            << ::testing::PrintToString(log_->recovery().findings) << "\n"
            << to_string(frame->stream) << " " << sequence << " at " << frame->offset << " of " << frame->path
            << " was not touched";
      }
    }
  }

  /// All bytes of headers, frames and footers; between them lie zeros that nobody reads.
  std::vector<std::pair<std::string, std::size_t>> used_bytes() const {
    std::vector<std::pair<std::string, std::size_t>> used;
    for (const auto& [path, content] : image_) {
      for (std::size_t block = 0; block + kBlockBytes <= content.size(); block += kBlockBytes) {
        std::size_t end = kBlockBytes;
        while (end > 0 && content[block + end - 1] == std::byte{0}) --end;
        for (std::size_t i = 0; i < end; ++i) used.emplace_back(path, block + i);
      }
    }
    return used;
  }

  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }
  std::vector<std::byte>& any_file(Image& image) {
    auto file = image.begin();
    std::advance(file, static_cast<std::ptrdiff_t>(below(image.size())));
    return file->second;
  }
  void overwrite(Image& image) {
    auto& content = any_file(image);
    const auto& source = any_file(image);
    if (content.empty() || source.empty()) return;
    const std::size_t from = below(content.size());
    const std::size_t bytes = std::min<std::size_t>({content.size() - from, source.size(), 1 + below(9000)});
    const std::size_t begin = below(source.size() - bytes + 1);
    // A whole frame at another place of its own segment passes for a frame: docs/durability.md names that limit.
    const std::uint64_t how = &content == &source ? 2 * below(2) : below(3);
    const std::vector<std::byte> copy(source.begin() + static_cast<std::ptrdiff_t>(begin),
                                      source.begin() + static_cast<std::ptrdiff_t>(begin + bytes));
    for (std::size_t i = 0; i < bytes; ++i) {
      content[from + i] = how == 0 ? std::byte{0} : how == 1 ? copy[i] : static_cast<std::byte>(random_());
    }
  }
  void damage(Image& image) {
    switch (below(8)) {
      case 0:
      case 1:
      case 2: {
        auto& content = any_file(image);
        if (!content.empty()) content[below(content.size())] ^= static_cast<std::byte>(1U << below(8));
        return;
      }
      case 3:
      case 4:
        return overwrite(image);
      case 5: {
        auto& content = any_file(image);
        content.resize(below(content.size() + 1));
        return;
      }
      case 6: {
        auto file = image.begin();
        std::advance(file, static_cast<std::ptrdiff_t>(below(image.size())));
        if (image.size() > 1) image.erase(file);
        return;
      }
      default: {
        auto one = image.begin();
        std::advance(one, static_cast<std::ptrdiff_t>(below(image.size())));
        const std::string copy = one->first.substr(0, one->first.rfind('/') + 1) + segment_name(1 + below(12));
        image[copy] = one->second;
        return;
      }
    }
  }

  Image image_;
  LogState saved_;
  std::array<std::map<Position, Record>, kStreamCount> records_;
  std::vector<Frame> frames_;
  std::mt19937_64 random_;
};

INSTANTIATE_TEST_SUITE_P(Part, DamagedImageTest, ::testing::Range(0, 2 * kParts));

TEST_P(DamagedImageTest, KeepsWhatRandomDamageHasNotTouched) {
  const std::uint64_t images = testing::from_environment("TIDEGATE_IMAGES", kImages);
  const std::uint64_t first =
      testing::from_environment("TIDEGATE_SEED", 0) + static_cast<std::uint64_t>(GetParam()) * 100'000'000;
  for (std::uint64_t seed = first; seed < first + images; ++seed) {
    random_.seed(seed);
    Image image = image_;
    for (std::uint64_t faults = 1 + below(6); faults > 0; --faults) damage(image);
    check(image, below(4) != 0);
    ASSERT_FALSE(HasFailure()) << "TIDEGATE_SEED=" << seed;
  }
}

TEST_P(DamagedImageTest, KeepsWhatAFlippedBitHasNotTouched) {
  const std::uint64_t step = testing::from_environment("TIDEGATE_STEP", kStep);
  const auto bytes = used_bytes();
  for (std::uint64_t i = (static_cast<std::uint64_t>(GetParam()) % kParts) * step; i < bytes.size() * 8;
       i += kParts * step) {
    const auto& [path, offset] = bytes[static_cast<std::size_t>(i / 8)];
    Image image = image_;
    image[path][offset] ^= static_cast<std::byte>(1U << (i % 8));
    check(image, true);
    ASSERT_FALSE(HasFailure()) << path << ", bit " << i % 8 << " at " << offset;
  }
}

TEST_P(DamagedImageTest, KeepsWhatATruncationHasNotTouched) {
  const std::uint64_t step = testing::from_environment("TIDEGATE_STEP", kStep);
  const auto bytes = used_bytes();
  for (std::uint64_t i = (static_cast<std::uint64_t>(GetParam()) % kParts) * step; i < bytes.size();
       i += kParts * step) {
    const auto& [path, size] = bytes[static_cast<std::size_t>(i)];
    Image image = image_;
    image[path].resize(size);
    check(image, true);
    ASSERT_FALSE(HasFailure()) << path << ", cut at " << size;
  }
}

}  // namespace
}  // namespace tidegate::buffer
