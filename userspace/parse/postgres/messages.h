// Message types, sizes and codes of the PostgreSQL frontend/backend protocol 3 (manual, chapter 55).
//
//   startup packet:  | length:4 | code:4 | ...                      length counts itself
//   other messages:  | type:1 | length:4 | body ... |                length counts itself, not the type
#pragma once
#include <cstdint>
#include <string_view>

namespace weir::postgres {

constexpr uint32_t kHeaderSize = 5;

constexpr uint32_t kSslRequestCode = 80877103;
constexpr uint32_t kGssEncRequestCode = 80877104;
constexpr uint32_t kCancelRequestCode = 80877102;
constexpr uint16_t kProtocolMajor = 3;

// Bounds of the server itself (postmaster.c, pqcomm.h): a peer beyond them is wrong whoever it is.
constexpr uint32_t kStartupSizeMax = 10'000;
constexpr uint32_t kSmallMessageMax = 10'000;
constexpr uint32_t kAuthMessageMax = 65'536;
constexpr uint32_t kLargeMessageMax = 0x3fffffff - 1;
constexpr uint32_t kCancelKeyMax = 260;  // Process id and a key of up to 256 bytes (protocol 3.2).
constexpr uint32_t kResultColumnsMax = 1664;
constexpr uint32_t kTagMax = 64;   // COMPLETION_TAG_BUFSIZE
constexpr uint32_t kNameMax = 63;  // NAMEDATALEN - 1: the server tells names of statements and portals apart by so many bytes.

// From the client.
namespace front {
constexpr char kBind = 'B', kClose = 'C', kCopyData = 'd', kCopyDone = 'c', kCopyFail = 'f', kDescribe = 'D', kExecute = 'E',
               kFlush = 'H', kFunctionCall = 'F', kParse = 'P', kPassword = 'p', kQuery = 'Q', kSync = 'S', kTerminate = 'X';
}  // namespace front

// From the server.
namespace back {
constexpr char kAuthentication = 'R', kBackendKeyData = 'K', kBindComplete = '2', kCloseComplete = '3', kCommandComplete = 'C',
               kCopyData = 'd', kCopyDone = 'c', kCopyInResponse = 'G', kCopyOutResponse = 'H', kCopyBothResponse = 'W',
               kDataRow = 'D', kEmptyQuery = 'I', kError = 'E', kFunctionCallResponse = 'V', kNegotiateVersion = 'v',
               kNoData = 'n', kNotice = 'N', kNotification = 'A', kParameterDescription = 't', kParameterStatus = 'S',
               kParseComplete = '1', kPortalSuspended = 's', kReadyForQuery = 'Z', kRowDescription = 'T';
}  // namespace back

// AuthenticationXxx: the four bytes after the header.
namespace auth_code {
constexpr uint32_t kOk = 0, kCleartext = 3, kMd5 = 5, kSasl = 10, kSaslContinue = 11, kSaslFinal = 12;
}  // namespace auth_code

// SQLSTATEs that we say ourselves (manual, appendix A).
namespace sqlstate {
constexpr std::string_view kInsufficientPrivilege = "42501", kSyntaxError = "42601", kProtocolViolation = "08P01",
                           kCannotConnect = "08001", kInvalidAuthorization = "28000", kInvalidPassword = "28P01",
                           kLimitExceeded = "53400", kAdminShutdown = "57P01", kQueryCanceled = "57014",
                           kFeatureNotSupported = "0A000";
}  // namespace sqlstate

}  // namespace weir::postgres
