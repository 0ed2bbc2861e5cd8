// A pack as one file, and its page as PDF by a browser that is none.
#include <gmock/gmock.h>
#include <zip.h>

#include "control/cli_test_support.h"
#include "control/pack_files.h"
#include "record/record_test_gateway.h"
#include "report/pack_table.h"

namespace weir::control {
namespace {

using testing::HasSubstr;
using testing::Not;

class Packs : public Cli {
 protected:
  Packs() {
    chmod(folder_.c_str(), 0755);  // What prints is nobody where this is root.
    std::filesystem::create_directory(folder_ + "/bin");
    gateway_.start();
    gateway_.open(1, "orders-db", "user:ann");
    gateway_.command(1, 1, "select 1");
    gateway_.close(1);
    gateway_.seal();
  }
  // A browser: a script that is told where to print, as the real one is.
  void install(const std::string& does) {
    const std::string file = folder_ + "/bin/chromium";
    std::ofstream(file) << "#!/bin/sh\nfor word in \"$@\"; do case $word in --print-to-pdf=*) out=${word#*=};; file://*) page=${word#file://};; esac; done\n" << does << "\n";
    chmod(file.c_str(), 0755);
    environment_["PATH"] = folder_ + "/none:" + folder_ + "/bin";
  }
  Outcome pack(std::vector<std::string> more) {
    more.insert(more.begin(), {"evidence", "--from", "2026-01-01T00:00:00Z", "--state", gateway_.state(), "--key", gateway_.key_file() + ".pub", "--json"});
    return weir(more);
  }
  std::string read(const std::string& file) const {
    std::ifstream in(folder_ + "/" + file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  record::test::Gateway gateway_;
};

TEST_F(Packs, ABrowserOnPathPrintsThePageWithoutPrivileges) {
  install("{ echo '%PDF-1.7'; id -u; grep -c 'Evidence of the gateway' \"$page\"; env; } > \"$out\"");
  const Outcome done = pack({"--output", folder_ + "/pack"});
  ASSERT_EQ(done.code, kExitDone) << done.err;
  EXPECT_EQ(json::parse(done.out)["pdf"], true);
  const std::string pdf = read("pack/report.pdf");
  EXPECT_THAT(pdf, HasSubstr("%PDF-1.7\n" + std::string(geteuid() == 0 ? "65534" : std::to_string(geteuid())) + "\n1\n"));
  EXPECT_THAT(pdf, Not(HasSubstr("WEIR_CONFIG"))) << "nothing of our environment";
  EXPECT_THAT(read("pack/SHA256SUMS"), HasSubstr("  report.pdf\n"));
  EXPECT_THAT(read("pack/index.html"), HasSubstr("This page as PDF: report.pdf"));
}

TEST_F(Packs, WithoutABrowserOrWithOneThatFailsThePackSaysWhy) {
  const auto problem = [&](const char* name, const char* words) {
    const Outcome done = pack({"--output", folder_ + "/" + name});
    EXPECT_EQ(done.code, kExitDone) << done.err;
    EXPECT_EQ(json::parse(done.out)["pdf"], false);
    EXPECT_THAT(json::parse(done.out)["pdf_problem"], HasSubstr(words));
    EXPECT_THAT(read(std::string(name) + "/index.html"), HasSubstr("There is no PDF of this page"));
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/" + name + "/report.pdf"));
  };
  problem("none", "no browser");
  install("exit 3");
  problem("failed", "failed with 3");
  install("echo hello > \"$out\"");
  problem("strange", "wrote no PDF");
  install("ln -s /etc/hostname \"$out\"");
  problem("elsewhere", "wrote no PDF");
  const Outcome quiet = pack({"--output", folder_ + "/unasked", "--no-pdf"});
  EXPECT_EQ(json::parse(quiet.out)["pdf_problem"], "not asked for");
}

TEST_F(Packs, ABrowserThatHangsIsKilledWithWhatItStarted) {
  install("sleep 100 & echo $! > \"$out.pid\"; wait");
  const auto begun = std::chrono::steady_clock::now();
  const auto printed = print_page(folder_ + "/bin/chromium", "<p>x</p>", folder_ + "/x.pdf", std::chrono::milliseconds(200));
  ASSERT_FALSE(printed);
  EXPECT_THAT(printed.error().message, HasSubstr("was killed"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(60));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/x.pdf"));
}

TEST_F(Packs, AZipHasTheFolderAndNothingElseStays) {
  const std::string zip = folder_ + "/january.zip";
  const Outcome done = pack({"--zip", zip});
  ASSERT_EQ(done.code, kExitDone) << done.err;
  EXPECT_EQ(json::parse(done.out)["folder"], zip);
  EXPECT_FALSE(std::filesystem::exists(zip + ".new"));
  int code = 0;
  zip_t* archive = zip_open(zip.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code);
  ASSERT_NE(archive, nullptr) << code;
  std::map<std::string, std::string> files;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive, 0); ++i) {
    zip_file_t* file = zip_fopen_index(archive, static_cast<zip_uint64_t>(i), 0);
    ASSERT_NE(file, nullptr);
    char buffer[4096];
    std::string& text = files[zip_get_name(archive, static_cast<zip_uint64_t>(i), 0)];
    for (zip_int64_t size = 0; (size = zip_fread(file, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(size));
    zip_fclose(file);
  }
  zip_discard(archive);
  EXPECT_THAT(files["january/index.html"], HasSubstr("</html>"));
  std::istringstream sums(files["january/SHA256SUMS"]);
  std::size_t count = 0;
  for (std::string digest, name; sums >> digest >> name; ++count) EXPECT_EQ(report::sha256_hex(files["january/" + name]), digest) << name;
  EXPECT_EQ(count + 1, files.size());
  EXPECT_EQ(pack({"--zip", zip}).code, kExitUsage) << "it is there already";
  EXPECT_EQ(pack({"--zip", folder_ + "/b.zip", "--output", folder_ + "/b"}).code, kExitUsage);
  EXPECT_EQ(pack({"--zip", std::string("/proc/weir-none/folder.zip")}).code, kExitSystem);
}

}  // namespace
}  // namespace weir::control
