// Files and FIFOs as carriers of SDP.
#include "ue-agent/document_io.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "tests/support/temp_dir.h"

namespace keystub::ue {
namespace {

using namespace std::chrono_literals;

class DocumentIo : public ::testing::Test {
 protected:
  SteadyTime in(std::chrono::milliseconds time) const { return clock_.steady_now() + time; }

  SystemClock clock_;
  testing::TempDir folder_;
};

TEST_F(DocumentIo, UE_1_WaitsForAFileThatComesLater) {
  const auto path = folder_ / "answer.sdp";
  std::jthread writer([&] {
    std::this_thread::sleep_for(60ms);
    EXPECT_TRUE(write_document(path, "v=0\r\n", clock_, in(5s)));
  });
  EXPECT_EQ(read_document(path, clock_, in(5s)).value(), "v=0\r\n");
}

TEST_F(DocumentIo, UE_1_ReadsAFifoUpToItsEnd) {
  const auto path = folder_ / "answer.fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::jthread writer([&] {
    std::ofstream out(path);
    out << "v=0\r\n" << std::flush;
    std::this_thread::sleep_for(30ms);
    out << "s=-\r\n";
  });
  EXPECT_EQ(read_document(path, clock_, in(5s)).value(), "v=0\r\ns=-\r\n");
}

TEST_F(DocumentIo, UE_1_WritesAFifoOnceItIsRead) {
  const auto path = folder_ / "offer.fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::jthread writer([&] { EXPECT_TRUE(write_document(path, "v=0\r\n", clock_, in(5s))); });
  std::this_thread::sleep_for(40ms);
  EXPECT_EQ(testing::TempDir::read(path), "v=0\r\n");
}

TEST_F(DocumentIo, UE_1_GivesUpWhenTheTimeIsOver) {
  const auto missing = read_document(folder_ / "never", clock_, in(50ms));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().category(), Category::unavailable);

  const auto fifo = folder_ / "silent.fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(read_document(fifo, clock_, in(50ms)).error().category(), Category::unavailable);
  EXPECT_EQ(write_document(fifo, "v=0\r\n", clock_, in(50ms)).error().category(),
            Category::unavailable);
}

TEST_F(DocumentIo, UE_1_RefusesADocumentThatIsTooLong) {
  const auto path = folder_.write("long", std::string(kMaxDocumentOctets + 1, 'a'));
  EXPECT_EQ(read_document(path, clock_, in(5s)).error().category(), Category::malformed);
}

TEST_F(DocumentIo, UE_1_NamesTheFileThatCannotBeWritten) {
  const auto written = write_document("/nowhere/offer.sdp", "v=0\r\n", clock_, in(1s));
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().text().find("/nowhere/offer.sdp"), std::string::npos);
}

}  // namespace
}  // namespace keystub::ue
