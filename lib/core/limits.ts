/**
 * Every fixed bound in one place, with the relations that must hold between them asserted at the end.
 * What an operator may want to change is in the configuration instead.
 */

/** Octets of a command line with its CRLF (RFC 5321 section 4.5.3.1.4). */
export const COMMAND_LINE_OCTETS = 512;
/** Octets of a command line that is read whole: parameters of extensions, and of AUTH, go beyond the 512 above. */
export const COMMAND_LINES_OCTETS = 4_096;
/** Octets of a reply line with its CRLF (RFC 5321 section 4.5.3.1.5). */
export const REPLY_LINE_OCTETS = 512;
/** Octets of a whole reply: a greeting or EHLO reply without end must not hold a session for ever. */
export const REPLY_OCTETS = 16_384;
/**
 * Octets of a line that is guarded (commands to backends that are told the client by XCLIENT): RFC 4954 section 4 gives
 * AUTH and its answers 12,288; other commands have an eighth, which all extensions of MAIL and RCPT fit.
 */
export const COMMAND_OCTETS_GUARDED = 16_384;
/** Commands of a guarded session that may wait for their replies; beyond that the client is not read. */
export const REPLIES_OWED = 1_024;
/** Octets kept of a name given in EHLO, HELO or LHLO (RFC 5321 section 4.5.3.1.2: a domain has at most 255). */
export const HELLO_NAME_OCTETS = 255;

/** Octets of a PROXY protocol version 1 line with its CRLF (proxy-protocol.txt section 2.1). */
export const PROXY_V1_OCTETS = 107;
/** Octets of a PROXY protocol version 2 header that is accepted; TLS TLVs with a certificate fit. */
export const PROXY_V2_OCTETS = 16_384;
/** Octets of a unique id in a PROXY header (proxy-protocol.txt section 2.2.5). */
export const PROXY_UNIQUE_ID_OCTETS = 128;
/** Octets of any one text (server name, cipher, certificate name) this program writes into a PROXY header. */
export const PROXY_TEXT_OCTETS = 255;

/** Commands a client may give before STARTTLS where the name in TLS chooses the pool; usually it is one. */
export const ROUTING_COMMANDS = 100;
/** Octets a client may send before its backend is chosen; after that it is not read until then. */
export const EARLY_CLIENT_OCTETS = 4_096;

/** Rows of the shared board; the configuration is refused beyond them. */
export const MAX_LISTENERS = 64;
export const MAX_POOLS = 256;
export const MAX_BACKENDS = 2_048;
export const MAX_SHARDS = 64;

/** Octets of a configuration file; longer ones are refused unread. */
export const CONFIG_FILE_OCTETS = 1_048_576;
/** Addresses one listener may listen on. */
export const MAX_LISTEN_ADDRESSES = 16;
/** Networks in one list of the configuration (clients allowed or denied, senders of PROXY headers). */
export const MAX_NETWORKS = 10_000;
/** Octets of the path of a Unix domain socket (Linux: `sun_path` has 108, the last one is NUL). */
export const UNIX_PATH_OCTETS = 107;

/**
 * Milliseconds up to which the counts of other instances are believed, and from which on they are not at all: an
 * exchange may be two seconds late, and a heartbeat one.
 */
export const OTHERS_BELIEVED_MS = 4_000;
export const OTHERS_FORGOTTEN_MS = 8_000;

/**
 * Seconds of silence after which the kernel asks a peer whether it is still there: well within the idle timeout, and
 * often enough for the firewalls between, which forget silent connections after a few minutes.
 */
export const KEEP_ALIVE_IDLE_S = 120;
/**
 * Milliseconds that sent bytes may stay unacknowledged, and a peer that is asked may stay silent. Longer than the
 * three minutes for which a sender has to wait for one block of DATA (RFC 5321 section 4.5.3.2.5): a peer whose window is
 * shut counts as well.
 */
export const TCP_USER_TIMEOUT_MS = 300_000;

/** Milliseconds for which the clock of a shard's thread may stand still before it is said to hang. */
export const SHARD_SILENT_MS = 5_000;
/** And before it is ended and replaced: its sessions are of no use to anybody, and a share of the new ones comes to it. */
export const SHARD_HUNG_MS = 15_000;

/** Warm connections that one shard opens to one backend at a time: TLS handshakes are work, and sessions go first. */
export const WARM_OPENING = 16;
/**
 * Milliseconds a backend has to answer the QUIT of a warm connection that nobody needs, and to greet first where it has not
 * yet; a stop waits for it.
 */
export const WARM_FAREWELL_MS = 1_000;
/** Milliseconds a refused client has to read its refusal and close, before it is closed for it. */
export const LINGER_MS = 2_000;
/** Descriptors that each shard keeps free so that a client beyond the limit still hears 421: half of them to read it. */
export const RESERVED_DESCRIPTORS = 64;
/** Clients a shard accepts in one turn: a storm of them must not keep the others from their bytes. */
export const ACCEPTS_A_TURN = 16;
/** Clients a listener remembers for its per-client limits; towards that, idle ones are forgotten early. */
export const TRACKED_CLIENTS = 262_144;
/** Clients of sticky pools that one shard, and an instance without Redis, remembers; beyond that the oldest go early. */
export const STICKY_ENTRIES = 100_000;
/** Clients that one shard may want to have remembered in one tick; later ones wait for their next session. */
export const STICKY_CLAIMS = 5_000;
/** Octets of client-given text in a log line. */
export const LOGGED_TEXT_OCTETS = 128;

function holds(relation: boolean, text: string): void {
  if (!relation) throw new Error(`limits: ${text}`);
}
holds(REPLY_LINE_OCTETS <= REPLY_OCTETS, 'one reply line fits a reply');
holds(HELLO_NAME_OCTETS + 'EHLO \r\n'.length <= COMMAND_LINE_OCTETS, 'the longest name fits a command line');
holds(COMMAND_LINE_OCTETS <= EARLY_CLIENT_OCTETS, 'a client that speaks early may send at least one command');
holds(KEEP_ALIVE_IDLE_S * 1_000 < TCP_USER_TIMEOUT_MS, 'a silent peer is asked before it is given up');
holds(PROXY_V1_OCTETS < PROXY_V2_OCTETS, 'one buffer serves both PROXY versions');
holds(SHARD_SILENT_MS < SHARD_HUNG_MS, 'a thread that hangs is reported before it is ended');
holds(
  2 * ACCEPTS_A_TURN <= RESERVED_DESCRIPTORS / 2,
  'what a refused client said early is read in the turn after, before others take its place',
);
holds(OTHERS_BELIEVED_MS < OTHERS_FORGOTTEN_MS, 'belief in old counts fades, it does not jump');
