/** What is true of a connection, one bit each: there are many connections. */
export const IS = {
  ESTABLISHED: 1 << 0,
  DIALLING: 1 << 1,
  /** A receive, a send, a wait for room, a watch for a reset is under way. */
  RECEIVING: 1 << 2,
  SENDING: 1 << 3,
  AWAITING_ROOM: 1 << 4,
  WATCHED: 1 << 5,
  PAUSED: 1 << 6,
  /** The peer has closed its direction; its owner has been told so. */
  PEER_ENDED: 1 << 7,
  END_TOLD: 1 << 8,
  /** Our direction is to be closed after what was written; it is closed. */
  END_WANTED: 1 << 9,
  ENDED: 1 << 10,
  /** `write` said false. */
  DRAIN_OWED: 1 << 11,
  /** Waits for the end of the turn. */
  QUEUED: 1 << 12,
  /** Part of a bulk transfer: see bulk.ts. */
  BULK: 1 << 13,
  /** Over: nobody is told anything any more. */
  GONE: 1 << 14,
  /** The descriptor is closed as well. */
  CLOSED: 1 << 15,
  /** The kernel looks whether its peer is still there. */
  KEPT_ALIVE: 1 << 16,
} as const;
