export default function Page() {
  return <p>EasyMO</p>;
}
