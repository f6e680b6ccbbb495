#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "buffer/frame_builder.h"
#include "buffer/readings_codec.h"
#include "tests/buffer/codec_fixture.h"
#include "tests/support/seed.h"

namespace tidegate::buffer {
namespace {

constexpr std::size_t kBodyMax = kFrameBodyMax;

class CodecTest : public CodecFixture {
 protected:
  /// Encodes into as many bodies as it takes and checks that decoding gives the same; returns the bytes of all bodies.
  std::size_t expect_round_trip(const std::vector<Reading>& readings) {
    std::size_t bytes = 0;
    for (std::size_t done = 0; done < readings.size();) {
      out_.clear();
      const auto rest = std::span(readings).subspan(done);
      const BodyStart start{nullptr, {}, wall_, block_};
      const std::size_t count = encoder_.encode(rest, start, dictionary_, kBodyMax, out_);
      EXPECT_GT(count, 0U);
      if (count == 0) return bytes;
      dictionary_.end_frame(block_++);
      FrameHeader header;
      header.count = static_cast<std::uint32_t>(count);
      header.times.wall = wall_;
      ByteReader reader(out_.view());
      EXPECT_TRUE(read_body_prefix(reader, header, nullptr));
      EXPECT_TRUE(section_.take(reader));
      std::vector<Reading> decoded;
      EXPECT_EQ(decoder_.decode(header, reader, section_.tags(), decoded), DecodeStatus::ok);
      EXPECT_EQ(decoded.size(), count);
      for (std::size_t i = 0; i < decoded.size(); ++i) {
        EXPECT_TRUE(same_reading(rest[i], decoded[i])) << "reading " << done + i << " of " << readings.size();
      }
      done += count;
      bytes += out_.size();
    }
    return bytes;
  }

  WallTime wall_{Duration(1'760'000'000'123'456'789)};
  TagDictionary dictionary_;
  SectionTags section_{tags_};
  ReadingsEncoder encoder_{tags_};
  ReadingsDecoder decoder_;
  OutBuffer out_;
  std::uint64_t block_ = 1;
};

TEST_F(CodecTest, KeepsEveryKindOfValue) {
  std::vector<Reading> all;
  for (const Value& value : every_kind_of_value()) {
    expect_round_trip({reading("a/b", value)});
    all.push_back(reading("a/b", value));
    all.push_back(reading("a/" + std::to_string(all.size()), value));
  }
  expect_round_trip(all);
}

TEST_F(CodecTest, KeepsEveryQualityReasonAndOrigin) { expect_round_trip(every_quality_reason_and_origin()); }

TEST_F(CodecTest, KeepsTimesOfAnyKindAndOrder) {
  for (const auto& readings : times_of_any_kind_and_order(1)) expect_round_trip(readings);
  // Steps that wrap around and are whole seconds only as signed numbers.
  expect_round_trip({reading("a/b", 1.0, 8'000'000'000'000'000'000), reading("a/b", 1.0, -8'000'000'000'000'000'000),
                     reading("a/b", 1.0, 8'000'000'000'000'000'000)});
}

TEST_F(CodecTest, KeepsRandomReadings) {
  const std::uint64_t seed = testing::from_environment("TIDEGATE_SEED", 1);
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::vector<Reading> readings;
    const std::size_t count = 1 + static_cast<std::size_t>(random() % 600);
    const std::uint64_t style = random();
    for (std::size_t i = 0; i < count; ++i) {
      Reading one = reading("d/" + std::to_string(random() % (1 + style % 300)), 0.0,
                            static_cast<std::int64_t>(random() >> (style % 60)));
      switch (random() % (1 + style % 7)) {
        case 0:
          one.value = static_cast<double>(static_cast<std::int64_t>(random() % 20000) - 10000) / 100;
          break;
        case 1:
          one.value = std::bit_cast<double>(random());
          break;
        case 2:
          one.value = static_cast<std::int64_t>(random());
          break;
        case 3:
          one.value = random() >> (random() % 64);
          break;
        case 4:
          one.value = random() % 2 == 0;
          break;
        case 5:
          one.value = std::string(static_cast<std::size_t>(random() % 20), 'a');
          break;
        default:
          one.value = static_cast<double>(static_cast<float>(random() % 1000) / 7);
          break;
      }
      one.quality = static_cast<Quality>(random() % 3);
      one.reason = static_cast<Reason>(random() % 16);
      readings.push_back(std::move(one));
    }
    expect_round_trip(readings);
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

TEST_F(CodecTest, NeedsAboutTwoBytesForAPolledReading) {
  std::vector<Reading> readings;
  for (int i = 0; i < 500; ++i) readings.push_back(reading("plc/register-" + std::to_string(i), 20 + i % 50 / 10.0));
  expect_round_trip(readings);  // names the tags
  expect_round_trip(readings);  // names them again
  EXPECT_LT(expect_round_trip(readings), 500U * 5 / 2);
}

TEST_F(CodecTest, NeedsAHundredBytesForASingleReading) {
  const std::vector<Reading> one{reading("hall-3/boiler/temperature", 21.57)};
  EXPECT_LT(expect_round_trip(one) + kFrameHeaderBytes, 120U);
  EXPECT_LT(expect_round_trip(one) + kFrameHeaderBytes, 120U);
  EXPECT_LT(expect_round_trip(one) + kFrameHeaderBytes, 90U);
}

TEST_F(CodecTest, NeverReadsBeyondABodyThatIsCutOrChanged) {
  std::vector<Reading> readings;
  for (int i = 0; i < 40; ++i)
    readings.push_back(reading("d/" + std::to_string(i % 9), i % 2 == 0 ? Value(i * 0.5) : Value("t")));
  const BodyStart start{nullptr, {}, wall_, 1};
  const std::size_t count = encoder_.encode(readings, start, dictionary_, kBodyMax, out_);
  FrameHeader header;
  header.count = static_cast<std::uint32_t>(count);
  header.times.wall = wall_;
  const auto decode = [&](ByteSpan body) {
    SectionTags section(tags_);
    ByteReader reader(body);
    std::vector<Reading> decoded;
    if (!read_body_prefix(reader, header, nullptr) || !section.take(reader)) return DecodeStatus::malformed;
    return decoder_.decode(header, reader, section.tags(), decoded);
  };
  ASSERT_EQ(decode(out_.view()), DecodeStatus::ok);
  for (std::size_t size = 0; size < out_.size(); ++size) {
    const std::vector<std::byte> cut(out_.view().begin(), out_.view().begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_NE(decode(cut), DecodeStatus::ok) << size << " bytes of " << out_.size();
  }
  // Without its CRC a changed body may decode to something else, but never reads outside of itself (sanitizers).
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < out_.size() * 8; ++bit) {
    std::vector<std::byte> changed(out_.view().begin(), out_.view().end());
    changed[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    refused += decode(changed) == DecodeStatus::ok ? 0U : 1U;
  }
  EXPECT_GT(refused, 0U);
}

// The example of docs/ring-log-format.md, byte for byte: whoever changes one changes the other.
TEST(Frame, IsWhatTheFormatDocumentShows) {
  constexpr std::string_view kDocument =
      "54474652a0783dd24d000000c3cedfa6"
      "08e20100000000000300000003000000"
      "80347cc0648309188009"
      "5f9ed3590000"
      "010201000000000008e2010000000000"
      "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
      "010700000000000000ac02"
      "0100020b"
      "626f696c65722f74656d70"
      "0a"
      "626f696c65722f72756e"
      "00000002"
      "00000412"
      "0380b6dc05000201"
      "00111202"
      "ae03da21000000";
  TagRegistry tags;
  BootId boot_id;
  LogId log_id;
  for (std::uint8_t i = 0; i < 16; ++i) {
    boot_id[i] = static_cast<std::uint8_t>(0xb0 + i);
    log_id[i] = static_cast<std::uint8_t>(i + 1);
  }
  const WallTime wall(Duration(1'732'060'000'450'000'000));
  const BootTime boot(Duration(98'765'430'000'000));
  std::vector<Reading> readings(3);
  readings[0] = {tags.intern("boiler/temp"),          Quality::good, Reason::none, TimeOrigin::ingest,
                 wall + std::chrono::milliseconds(6), 21.5};
  readings[1] = {
      readings[0].tag, Quality::good, Reason::none, TimeOrigin::source, wall + std::chrono::milliseconds(1006), 21.57};
  readings[2] = {tags.intern("boiler/run"), Quality::bad, Reason::stale, TimeOrigin::ingest, readings[1].time, true};
  const std::vector<QueueMark> marks{{7, 300}};
  FrameBuilder builder(tags, Stream::readings, 16U << 20);
  const std::uint32_t seed = SegmentIdentity{log_id, Stream::readings, 1}.seed();
  EXPECT_EQ(seed, 0xb8f377c9U);
  ASSERT_EQ(builder.build({{readings, {}}, 123'400, 3, {wall, boot, ClockQuality::synced}, boot_id, marks},
                          {seed, kBlockBytes, 1U << 20, kSectionsMax}),
            3U);
  std::string hex;
  for (const std::byte byte : builder.bytes()) {
    for (const unsigned nibble : {static_cast<unsigned>(byte) >> 4, static_cast<unsigned>(byte) & 15}) {
      hex += "0123456789abcdef"[nibble];
    }
  }
  EXPECT_EQ(hex, kDocument);
}

TEST(Frame, HeaderIsRefusedAfterAnyFlippedBit) {
  FrameHeader header;
  header.body_bytes = 1000;
  header.first = 77;
  header.count = 12;
  header.epoch = 3;
  header.section = 70;
  std::array<std::byte, kFrameHeaderBytes> bytes;
  write_frame_header(header, 5, bytes.data());
  ASSERT_TRUE(read_frame_header(bytes.data(), 5));
  EXPECT_FALSE(read_frame_header(bytes.data(), 6)) << "the header of another segment";
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto changed = bytes;
    changed[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    ASSERT_FALSE(read_frame_header(changed.data(), 5)) << "bit " << bit;
  }
}

// Sums of sequences must not begin again at 0.
TEST(Frame, HeaderIsRefusedWithASequenceThatNoLogComesTo) {
  FrameHeader header;
  header.count = 1;
  header.epoch = 1;
  header.first = header.section = kSequenceMax;
  header.flags = kSectionStart;
  std::array<std::byte, kFrameHeaderBytes> bytes;
  write_frame_header(header, 5, bytes.data());
  EXPECT_TRUE(read_frame_header(bytes.data(), 5));
  header.first = header.section = kSequenceMax + 1;
  write_frame_header(header, 5, bytes.data());
  EXPECT_FALSE(read_frame_header(bytes.data(), 5));
}

TEST(Frame, TimesAreTakenBackToTenMilliseconds) {
  FrameTimes times{WallTime(std::chrono::milliseconds(123456)), BootTime(std::chrono::milliseconds(98765)),
                   ClockQuality::synced};
  times = coarse(times);
  EXPECT_EQ(times.boot, BootTime(std::chrono::milliseconds(98760)));
  EXPECT_EQ(times.wall, WallTime(std::chrono::milliseconds(123451)));
}

TEST(Varint, KeepsEveryNumber) {
  for (unsigned shift = 0; shift < 64; ++shift) {
    for (const std::uint64_t value :
         {(std::uint64_t{1} << shift) - 1, std::uint64_t{1} << shift, ~std::uint64_t{0} >> shift}) {
      OutBuffer out;
      out.put_varint(value);
      ByteReader reader(out.view());
      EXPECT_EQ(reader.varint(), value);
      EXPECT_TRUE(reader.ok());
      EXPECT_EQ(reader.left(), 0U);
      EXPECT_EQ(unzigzag(zigzag(value)), value);
    }
  }
}

TEST(Varint, RefusesWhatIsTooLongOrCut) {
  std::array<std::byte, 11> bytes;
  bytes.fill(std::byte{0xff});
  ByteReader too_long(bytes);
  too_long.varint();
  EXPECT_FALSE(too_long.ok());
  ByteReader cut(ByteSpan(bytes).first(3));
  cut.varint();
  EXPECT_FALSE(cut.ok());
}

TEST(TagDictionary, RepeatsAPathInTheNextFrameAndInALaterBlock) {
  TagRegistry registry;
  const TagId tag = registry.intern("a/b");
  TagDictionary dictionary;
  const auto frame = [&](std::uint64_t block) {
    OutBuffer out;
    dictionary.begin_frame(block, registry, 1000);
    dictionary.number_of(tag);
    dictionary.put(out, registry);
    dictionary.end_frame(block);
    SectionTags section(registry);
    ByteReader reader(out.view());
    EXPECT_TRUE(section.take(reader));
    return section.tags().size() == 1;
  };
  EXPECT_TRUE(frame(1)) << "first use";
  EXPECT_TRUE(frame(1)) << "the next frame";
  EXPECT_FALSE(frame(1));
  EXPECT_FALSE(frame(1));
  EXPECT_TRUE(frame(2)) << "the first frame of a later block";
  EXPECT_FALSE(frame(2));
  EXPECT_FALSE(frame(3));
}

}  // namespace
}  // namespace tidegate::buffer
