// What the page lets a person set, by its controls and by links: [least, most].

export const LIMITS = {
  tempo: [40, 240], // Quarters a minute.
  temperature: [0.05, 1.5],
  seed: [0, 2 ** 32 - 1],
  attribute: [-2, 2], // How often an attribute's vector is added.
};
export const MAX_JOURNEY = 64; // Places.
export const MAX_FILE_BYTES = 5e6; // As the server's.

/** Returns the value within limits that is nearest to a value. */
export const within = (value, [least, most]) => Math.min(most, Math.max(least, value));

export const isWithin = (value, [least, most]) => value >= least && value <= most;
