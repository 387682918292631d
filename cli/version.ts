/** Of the product; the package version of this workspace. */
export const version = '0.1.0';
